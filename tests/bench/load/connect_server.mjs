// SPDX-License-Identifier: Apache-2.0
// The greeter by @connectrpc/connect-node, over HTTP/1.1 on a unix socket: connect_server.mjs DESCRIPTORS SOCKET
import {readFileSync} from 'node:fs';
import {createServer} from 'node:http';
import {createFileRegistry, fromBinary} from '@bufbuild/protobuf';
import {FileDescriptorSetSchema} from '@bufbuild/protobuf/wkt';
import {connectNodeAdapter} from '@connectrpc/connect-node';

const [descriptors, socket] = process.argv.slice(2);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));

createServer(connectNodeAdapter({
  routes: router => router.service(registry.getService('helloworld.Greeter'), {
    sayHello: request => ({message: `Hello ${request.name}`}),
    async *spellHello(request) {
      for (const message of request.name)
        yield {message};
    },
  }),
})).listen(socket);
