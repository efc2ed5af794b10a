// SPDX-License-Identifier: Apache-2.0
// Cases of the Connect protocol for any client of @connectrpc/connect: Node and a browser run the same ones. They know the
// services by a descriptor set.
import {createFileRegistry, fromBinary} from '@bufbuild/protobuf';
import {FileDescriptorSetSchema} from '@bufbuild/protobuf/wkt';
import {Code, ConnectError, createClient, decodeBinaryHeader, encodeBinaryHeader} from '@connectrpc/connect';

export const open = descriptors => createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors));

const equal = (expected, actual) => {
  if (JSON.stringify(expected) !== JSON.stringify(actual))
    throw new Error(`${JSON.stringify(actual)} is not ${JSON.stringify(expected)}`);
};

const failure = async promise => {
  try {
    await promise;
  } catch (error) {
    if (error instanceof ConnectError)
      return error;
    throw error;
  }
  throw new Error('it did not fail');
};

const all = async stream => {
  const found = [];
  for await (const message of stream)
    found.push(message);
  return found;
};

// Each is called with clients of the services and the registry.
export const cases = {
  async unary({greeter}) {
    equal('Hello Ann', (await greeter.sayHello({name: 'Ann'})).message);
    equal('Hello \u00e4\u4e16', (await greeter.sayHello({name: '\u00e4\u4e16'})).message);
    equal('Hello ', (await greeter.sayHello({})).message);
  },

  async server_stream({greeter}) {
    equal([...'Annika'], (await all(greeter.spellHello({name: 'Annika'}))).map(reply => reply.message));
    equal([], await all(greeter.spellHello({})));
  },

  async server_stream_fails({greeter, test}) {
    const error = await failure(all(greeter.spellHello({name: 'x'.repeat(5000)})));
    equal([Code.InvalidArgument, 'the name has 5000 bytes; max_name allows 4096'], [error.code, error.rawMessage]);
    equal(Code.PermissionDenied, (await failure(all(test.streamingOutputCall({responseStatus: {code: 7}})))).code);
  },

  async large_messages({test}) {
    const reply = await test.unaryCall({responseSize: 1 << 20, payload: {body: new Uint8Array(1 << 20)}});
    equal(1 << 20, reply.payload.body.length);
    const sizes = [1, 500_000, 3, 1_000_000];
    const replies = await all(test.streamingOutputCall({responseParameters: sizes.map(size => ({size}))}));
    equal(sizes, replies.map(each => each.payload.body.length));
  },

  async every_code({peer}) {
    for (let number = 1; number <= 16; number++) {
      const error = await failure(peer.fail({number, text: `code ${number} \u00e4`}));
      equal([number, `code ${number} \u00e4`], [error.code, error.rawMessage]);
    }
  },

  async details({peer, registry}) {
    const error = await failure(peer.fail({number: 9, text: 'no'}));
    const [detail] = error.findDetails(registry.getMessage('berth.interop.v1.Message'));
    equal([9, 'no'], [detail.number, detail.text]);
  },

  async metadata({test}) {
    let head, trailer;
    const bytes = new Uint8Array([0, 1, 0xfe, 0xff]);
    await test.unaryCall({}, {
      headers: {'x-grpc-test-echo-initial': 'one', 'x-grpc-test-echo-trailing-bin': encodeBinaryHeader(bytes)},
      onHeader: fields => head = fields, onTrailer: fields => trailer = fields,
    });
    equal('one', head.get('x-grpc-test-echo-initial'));
    equal([...bytes], [...decodeBinaryHeader(trailer.get('x-grpc-test-echo-trailing-bin'))]);
    equal(null, head.get('x-grpc-test-echo-trailing-bin'));
    await all(test.streamingOutputCall({responseParameters: [{size: 1}]}, {
      headers: {'x-grpc-test-echo-initial': 'two', 'x-grpc-test-echo-trailing-bin': encodeBinaryHeader(bytes)},
      onHeader: fields => head = fields, onTrailer: fields => trailer = fields,
    }));
    equal('two', head.get('x-grpc-test-echo-initial'));
    equal([...bytes], [...decodeBinaryHeader(trailer.get('x-grpc-test-echo-trailing-bin'))]);
  },

  async deadlines({peer, test}) {
    const left = (await peer.deadline({}, {timeoutMs: 60_000})).number;
    equal(true, left > 10_000 && left <= 60_000);
    equal(-1, (await peer.deadline({})).number);
    equal(Code.DeadlineExceeded, (await failure(peer.wait({number: 600_000}, {timeoutMs: 200}))).code);
    const slow = {responseParameters: [{size: 1}, {size: 1, intervalUs: 600_000_000}]};
    equal(Code.DeadlineExceeded, (await failure(all(test.streamingOutputCall(slow, {timeoutMs: 200})))).code);
  },

  async cancelling({peer, test}) {
    const stop = new AbortController();
    const waiting = failure(peer.wait({number: 600_000}, {signal: stop.signal}));
    setTimeout(() => stop.abort(), 100);
    equal(Code.Canceled, (await waiting).code);
    const slow = {responseParameters: [{size: 1}, {size: 1, intervalUs: 600_000_000}]};
    for await (const reply of test.streamingOutputCall(slow)) {
      equal(1, reply.payload.body.length);
      break;
    }
  },

  async what_is_not_implemented({test}) {
    equal(Code.Unimplemented, (await failure(test.unimplementedCall({}))).code);
  },

  async many_at_once({greeter}) {
    const names = Array.from({length: 100}, (_, i) => `caller ${i}`);
    equal(names.map(name => `Hello ${name}`),
          (await Promise.all(names.map(name => greeter.sayHello({name})))).map(reply => reply.message));
  },

  async get_where_there_are_no_side_effects({peer}) {
    equal('a+b&c=d \u00e4', (await peer.echo({text: 'a+b&c=d \u00e4'})).text);
  },
};

export async function run(name, registry, transport) {
  const client = service => createClient(registry.getService(service), transport);
  try {
    await cases[name]({
      absent: client('grpc.testing.UnimplementedService'),
      registry, greeter: client('helloworld.Greeter'), test: client('grpc.testing.TestService'),
      peer: client('berth.interop.v1.Peer'), streaming: client('ttrpc.integration.streaming.Streaming'),
    });
    return `ok ${name}`;
  } catch (error) {
    return `failed ${name}: ${error.stack ?? error}`.replaceAll('\n', ' | ');
  }
}
