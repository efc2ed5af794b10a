// SPDX-License-Identifier: Apache-2.0
// Runs the cases with @connectrpc/connect-node, in every form that it knows: node.mjs DESCRIPTORS URL, or node.mjs list
import {readFileSync} from 'node:fs';
import {Code} from '@connectrpc/connect';
import {compressionGzip, createConnectTransport} from '@connectrpc/connect-node';
import {cases, open, run} from './cases.mjs';

const forms = {
  json: {},
  proto: {useBinaryFormat: true},
  get_json: {useHttpGet: true},
  get_proto: {useHttpGet: true, useBinaryFormat: true},
  gzip: {sendCompression: compressionGzip, compressMinBytes: 0},
};

// What a browser cannot do: nothing answers its question whether it may call a service that is not there.
cases.absent_service = async ({absent}) => {
  try {
    await absent.unimplementedCall({});
  } catch (error) {
    if (error.code !== Code.Unimplemented)
      throw error;
    return;
  }
  throw new Error('it is there');
};
// Nor these.
cases.client_stream = async ({streaming}) => {
  async function* parts() {
    for (let add = 1; add <= 1000; add++)
      yield {add};
  }
  const sum = await streaming.sumStream(parts());
  if (sum.sum !== 500500 || sum.num !== 1000)
    throw new Error(JSON.stringify(sum));
};
cases.bidi_needs_http2 = async ({streaming}) => {
  async function* forever() {
    for (;;) {
      yield {seq: 1};
      await new Promise(resolve => setTimeout(resolve, 50));
    }
  }
  try {
    for await (const echo of streaming.echoStream(forever()))
      throw new Error(`an answer: ${JSON.stringify(echo)}`);
  } catch (error) {
    if (error.code !== Code.Unknown && error.code !== Code.Aborted && error.code !== Code.Unavailable && error.code !== Code.Internal)
      throw error;
    return;
  }
  throw new Error('it ended well');
};

const [descriptors, url] = process.argv.slice(2);
if (descriptors === 'list') {
  for (const form in forms)
    for (const name in cases)
      console.log(`${form}.${name}`);
} else {
  const registry = open(readFileSync(descriptors));
  for (const form in forms) {
    const transport = createConnectTransport({baseUrl: url, httpVersion: '1.1', ...forms[form]});
    for (const name in cases)
      console.log((await run(name, registry, transport)).replace(` ${name}`, ` ${form}.${name}`));
  }
  process.exit(0);
}
