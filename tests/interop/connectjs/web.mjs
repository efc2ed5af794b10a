// SPDX-License-Identifier: Apache-2.0
// In a page: runs the cases with @connectrpc/connect-web, by window.run(FORM, CASE, URL).
import {createConnectTransport} from '@connectrpc/connect-web';
import {cases, open, run} from './cases.mjs';

const forms = {json: {}, proto: {useBinaryFormat: true}, get: {useHttpGet: true}};
const registry = open(new Uint8Array(await (await fetch('descriptors')).arrayBuffer()));

window.names = Object.keys(forms).flatMap(form => Object.keys(cases).map(name => `${form}.${name}`));
window.run = (form, name, url) => run(name, registry, createConnectTransport({baseUrl: url, ...forms[form]}));
