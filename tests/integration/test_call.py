# SPDX-License-Identifier: Apache-2.0
"""berthctl call, services and describe: what they print for methods of every kind, and for wrong input."""

import json
import os
import select
import shlex
import signal
import subprocess
import unittest
from concurrent import futures

import grpc
from google.protobuf import any_pb2, descriptor_pb2, duration_pb2

from daemon import BERTHCTL, PATIENCE, Case, environment, run

GREETER = "helloworld.Greeter"
DEFAULT = ("-H", "containerd-namespace:default")


class Following:
    """A berthctl that runs on, and what it prints a line at a time."""

    def __init__(self, address, *arguments):
        self.process = subprocess.Popen([str(BERTHCTL), "--address", address, *arguments], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self.process.kill()
        self.process.communicate()

    def line(self):
        return json.loads(self.process.stdout.readline())

    def write(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)


class Call(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.daemon = self.start()

    def tearDown(self):
        self.assert_stops(self.daemon)

    def ctl(self, *arguments, code=0, text=None):
        done = subprocess.run([str(BERTHCTL), "--address", self.daemon.address, *map(str, arguments)], input=text,
                              capture_output=True, text=True, timeout=PATIENCE, check=False, env=environment())
        self.assertNotIn("Sanitizer", done.stderr)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        return done

    def call(self, *arguments, **more):
        return [json.loads(line) for line in self.ctl("call", *arguments, **more).stdout.splitlines()]

    def refused(self, *arguments, code=2, **more):
        done = self.ctl("call", *arguments, code=code, **more)
        self.assertEqual("", done.stdout)
        return done.stderr

    def test_a_stopped_plugin_is_no_daemon_that_cannot_be_reached(self):
        plugin = "io.containerd.grpc.v1.greeter"
        self.assertIn(f'not found (did you mean "{plugin}"?)', self.ctl("plugins", "stop", plugin[:-1], code=1).stderr)
        self.ctl("plugins", "stop", plugin)
        self.assertIn(f"Unavailable: {plugin} is stopped", self.refused(f"{GREETER}/SayHello", code=64 + 14))
        self.assertIn(f"describe: {plugin} is stopped", self.ctl("describe", GREETER, code=1).stderr)

    def test_a_request_is_an_argument_a_file_or_standard_input(self):
        expected = [{"message": "Hello Ann"}]
        path = self.workshop.top / "request.json"
        path.write_text('{\n  "name": "Ann"\n}\n')
        self.assertEqual(expected, self.call(f"{GREETER}/SayHello", '{"name":"Ann"}'))
        self.assertEqual(expected, self.call(f"/{GREETER}/SayHello", f"@{path}"))
        self.assertEqual(expected, self.call(f"{GREETER}.SayHello", "-", text=path.read_text()))
        # The end of the service's name is enough.
        self.assertEqual(expected, self.call("Greeter/SayHello", '{"name":"Ann"}'))
        self.assertEqual(1, len(self.call("containerd.services.version.v1.Version/Version")))

    def test_a_server_stream_is_a_line_each(self):
        self.assertEqual([{"message": letter} for letter in "Ann"], self.call(f"{GREETER}/SpellHello", '{"name":"Ann"}'))
        self.assertGreater(len(self.call("berth.inspect.v1.Inspect/Plugins", '{"all":true}')), 10)

    def test_containers_are_made_listed_and_not_found(self):
        spec = {"@type": "types.containerd.io/opencontainers/runtime-spec/1/Spec", "value": "eyJhIjoxfQ=="}
        container = {"id": "redis", "labels": {"a": "b"}, "runtime": {"name": "io.example.v1"}, "spec": spec}
        made, = self.call(*DEFAULT, "Containers/Create", json.dumps({"container": container}))
        self.assertEqual((spec, {"a": "b"}), (made["container"]["spec"], made["container"]["labels"]))
        listed, = self.call(*DEFAULT, "Containers/List", '{"filters":["id==redis"]}')
        self.assertEqual([made["container"]], listed["containers"])
        full, = self.call(*DEFAULT, "--emit-defaults", "Containers/List")
        self.assertEqual("", full["containers"][0]["snapshotter"])
        pretty = self.ctl("call", *DEFAULT, "--pretty", "Containers/List").stdout
        self.assertEqual(listed, json.loads(pretty))
        self.assertGreater(len(pretty.splitlines()), 5)
        self.assertEqual('NotFound: container "nope" in namespace "default": not found\n',
                         self.refused(*DEFAULT, "Containers/Get", '{"id":"nope"}', code=69))
        self.assertIn("FailedPrecondition: namespace is required", self.refused("Containers/List", code=73))

    def test_a_subscription_prints_events_as_they_come_until_interrupted(self):
        with Following(self.daemon.address, "call", "containerd.services.events.v1.Events/Subscribe",
                       json.dumps({"filters": ['topic=="/test"']})) as events:
            event = {"topic": "/test", "event": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"}}
            # It is not known when the subscription has begun.
            while not self.has_line(events):
                self.call(*DEFAULT, "containerd.services.events.v1.Events/Publish", json.dumps(event))
            got = events.line()
            self.assertEqual((event["event"], "default", "/test"), (got["event"], got["namespace"], got["topic"]))
            self.assertEqual(0, events.interrupt())

    def has_line(self, following):
        return select.select([following.process.stdout], [], [], 0.2)[0]

    def test_health_is_watched(self):
        with Following(self.daemon.address, "call", "grpc.health.v1.Health/Watch", '{"service":"' + GREETER + '"}') as health:
            self.assertEqual({"status": "SERVING"}, health.line())
            self.assertEqual(0, health.interrupt())

    def test_a_bidi_stream_is_a_line_in_and_a_line_out_while_it_lasts(self):
        with Following(self.daemon.address, "call", "grpc.reflection.v1.ServerReflection/ServerReflectionInfo") as stream:
            for symbol in (GREETER, "no.Such"):
                stream.write(json.dumps({"fileContainingSymbol": symbol}) + "\n\n")
                self.assertEqual(symbol, stream.line()["originalRequest"]["fileContainingSymbol"])
            # The last line needs no end.
            out, err = stream.process.communicate('{"listServices":""}', timeout=PATIENCE)
            self.assertIn({"name": GREETER}, json.loads(out)["listServicesResponse"]["service"])
            self.assertEqual((0, ""), (stream.process.returncode, err))

    def test_wrong_input_is_refused_before_anything_is_sent(self):
        for arguments, reasons in (
                (("Greeter/SayHello", '{"nme":"Ann"}'), ("helloworld.HelloRequest: nme: Cannot find field", "berthctl describe")),
                (("Greeter/SayHello", '{"name":"Ann"'), ("helloworld.HelloRequest", "end of string")),
                (("Greeter/SayHello", '{"name":{}}'), ("name",)),
                (("Greeter/SayHello", '{"name":"a"}{}'), ("line 1, column 13",)),
                (("Greeter/SayHello", '[' * 10000), ("helloworld.HelloRequest",)),
                (("Greeter/SayHello", '{"name":' * 10000), ("helloworld.HelloRequest",)),
                (("Greeter/SayHello", "@/nowhere"), ("/nowhere", "No such file")),
                (("Greeter/SayHelo",), (f'service {GREETER} has no method "SayHelo"', 'did you mean "SayHello"?')),
                (("Greter/SayHello",), ('no service "Greter"', 'did you mean "Greeter"?', "berthctl services")),
                (("helloworld.Greter/SayHello",), (f'did you mean "{GREETER}"?',)),
                (("nothing",), ('"nothing" is not SERVICE/METHOD',)),
                (("-H", "novalue", "Greeter/SayHello"), ("novalue", "KEY:VALUE")),
                (("-H", "x-bin:!", "Greeter/SayHello"), ("x-bin:!", "base64")),
                (("-H", "a b:c", "Greeter/SayHello"), ("a b",)),
                (("--deadline", "never", "Greeter/SayHello"), ("--deadline",)),
                (("--protoset", "/nowhere", "Greeter/SayHello"), ("--protoset", "/nowhere"))):
            with self.subTest(arguments=[word[:40] for word in arguments]):
                said = self.refused(*arguments)
                self.assertEqual(1, len(said.splitlines()), said)
                for reason in reasons:
                    self.assertIn(reason, said)
        said = self.refused("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "-", text='\n{"host":"a"\n')
        self.assertIn("standard input: request 1: ", said)

    def test_services_and_their_methods_are_listed(self):
        self.assertIn(GREETER, self.ctl("services").stdout.splitlines())
        rows = [row.split() for row in self.ctl("services", "-l").stdout.splitlines()]
        self.assertIn([f"{GREETER}/SayHello", "unary", "helloworld.HelloRequest", "helloworld.HelloReply"], rows)
        services = {service["name"]: service["methods"] for service in json.loads(self.ctl("services", "--json").stdout)}
        self.assertEqual(["unary", "server stream"], [method["kind"] for method in services[GREETER]])
        self.assertEqual("bidi stream", services["grpc.reflection.v1.ServerReflection"][0]["kind"])

    def test_what_there_is_is_described(self):
        self.assertIn("  rpc SayHello(.helloworld.HelloRequest) returns (.helloworld.HelloReply);\n",
                      self.ctl("describe", "Greeter").stdout)
        text = self.ctl("describe", "Greeter/SayHello").stdout
        self.assertEqual(text, self.ctl("describe", f"{GREETER}.SayHello").stdout)
        for part in ("rpc SayHello", "message HelloRequest {\n  string name = 1", "message HelloReply",
                     f"""berthctl call {GREETER}/SayHello '{{"name":""}}'\n"""):
            self.assertIn(part, text)
        self.assertIn("enum LogLevel", self.ctl("describe", "berth.inspect.v1.LogLevel").stdout)
        self.assertEqual("HelloRequest", json.loads(self.ctl("describe", "--json", "helloworld.HelloRequest").stdout)["name"])
        said = self.ctl("describe", "helloworld.Greetr", code=1).stderr
        self.assertIn(f'"helloworld.Greetr" is not a method, message or enum, and no service "helloworld.Greetr" (did you mean "{GREETER}"?)',
                      said)

    def test_a_daemon_that_is_not_there_is_unreachable(self):
        for command in (("call", "Greeter/SayHello"), ("services",), ("describe", "Greeter")):
            done = run(BERTHCTL, "--address", self.workshop.top / "nobody.sock", *command)
            self.assertEqual(3, done.returncode, done.stderr)
            self.assertIn("nobody.sock", done.stderr)


class WithoutReflection(Case):
    """A server of Google's that says nothing of itself, and ends its calls in every way."""

    def setUp(self):
        super().setUp()
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        handler = grpc.unary_unary_rpc_method_handler(self.answer)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(GREETER, {"SayHello": handler})])
        self.address = str(self.workshop.short / "strange.sock")
        server.add_insecure_port(f"unix:{self.address}")
        server.start()
        self.addCleanup(lambda: server.stop(0).wait())
        self.protoset = self.workshop.top / "greeter.set"
        subprocess.run(["protoc", "-I", f"{os.environ['BERTH_SOURCE']}/sdk/proto", f"--descriptor_set_out={self.protoset}", "helloworld/helloworld.proto"], check=True)

    def answer(self, request, context):
        metadata = dict(context.invocation_metadata())
        if "say" in metadata:
            known = any_pb2.Any()
            known.Pack(duration_pb2.Duration(seconds=7))
            strange = any_pb2.Any(type_url="example.com/no.Such", value=b"hi")
            details = b"\x08\x05" + b"".join(b"\x1a" + bytes([len(each)]) + each
                                             for each in (known.SerializeToString(), strange.SerializeToString()))
            context.set_trailing_metadata([("grpc-status-details-bin", details)])
            context.abort(grpc.StatusCode.NOT_FOUND, f"{metadata['say']} {metadata['raw-bin'].hex()} \x1b[31m")
        context.send_initial_metadata([("colour", "green")])
        context.set_trailing_metadata([("taste-bin", b"\0\xff")])
        return b"\x0a\x02hi" if metadata.get("kind") != "broken" else b"\x0a\x7fhi"

    def ctl(self, *arguments):
        return run(BERTHCTL, "--address", self.address, *arguments)

    def test_it_is_said_what_is_missing(self):
        for command in (("call", "Greeter/SayHello"), ("services",), ("describe", "Greeter")):
            done = self.ctl(*command)
            self.assertEqual((1, ""), (done.returncode, done.stdout))
            for part in (self.address, "no reflection", "--protoset FILE"):
                self.assertIn(part, done.stderr)

    def test_a_file_says_it_instead(self):
        done = self.ctl("call", "--protoset", self.protoset, "-i", "Greeter/SayHello")
        self.assertEqual((0, '{"message":"hi"}\n'), (done.returncode, done.stdout), done.stderr)
        self.assertIn("< colour: green\n", done.stderr)
        self.assertIn("< taste-bin: AP8=\n", done.stderr)
        self.assertEqual(f"{GREETER}\n", self.ctl("services", "--protoset", self.protoset).stdout)
        self.assertIn("string name = 1", self.ctl("describe", "--protoset", self.protoset, "helloworld.HelloRequest").stdout)

    def test_a_default_does_not_leave_the_quotes_of_the_example(self):
        field = descriptor_pb2.FieldDescriptorProto(name="text", number=1, type="TYPE_STRING", label="LABEL_OPTIONAL",
                                                    default_value="'; touch /tmp/x; 'é")
        file = descriptor_pb2.FileDescriptorProto(name="odd.proto", package="odd")
        file.message_type.add(name="Request", field=[field])
        file.service.add(name="Shell").method.add(name="Run", input_type=".odd.Request", output_type=".odd.Request")
        self.protoset.write_bytes(descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString())
        done = self.ctl("describe", "--protoset", self.protoset, "odd.Shell.Run")
        self.assertEqual(0, done.returncode, done.stderr)
        words = shlex.split(done.stdout.splitlines()[-1])
        self.assertEqual(["berthctl", "call", "odd.Shell/Run"], words[:3])
        self.assertEqual([{"text": "'; touch /tmp/x; 'é"}], [json.loads(word) for word in words[3:]])

    def test_a_status_is_printed_with_its_details(self):
        done = self.ctl("call", "--protoset", self.protoset, "-H", "Say: what?", "-H", "raw-bin:AP8", "Greeter/SayHello")
        self.assertEqual((69, ""), (done.returncode, done.stdout))
        self.assertEqual(["NotFound: what? 00ff  [31m",
                          '  {"@type":"type.googleapis.com/google.protobuf.Duration","value":"7s"}',
                          '  {"@type":"example.com/no.Such","value":"aGk="}'], done.stderr.splitlines())

    def test_a_broken_response_is_an_error(self):
        done = self.ctl("call", "--protoset", self.protoset, "-H", "kind:broken", "Greeter/SayHello")
        self.assertEqual((1, ""), (done.returncode, done.stdout))
        self.assertIn("cannot decode the response: helloworld.HelloReply: ", done.stderr)

    def test_a_server_that_is_gone_is_unreachable(self):
        done = run(BERTHCTL, "--address", self.workshop.top / "nobody.sock", "call", "--protoset", self.protoset, "Greeter/SayHello")
        self.assertEqual(3, done.returncode, done.stderr)


if __name__ == "__main__":
    unittest.main()
