# SPDX-License-Identifier: Apache-2.0
"""The services of the default plugins, called by Google's gRPC client."""

import os
import time
import unittest

import ask
import grpc
import protos
from daemon import PATIENCE, Case

IS_SANITIZED = os.environ.get("BERTH_TEST_SANITIZE", "none") != "none"


class Grpc(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.workshop.write_config(plugins={"io.containerd.grpc.v1.greeter": {"greeting": "Ahoy"}})
        self.daemon = self.start()

    def tearDown(self):
        self.assert_stops(self.daemon)

    def call(self, method, request, answer, **options):
        return ask.unary(self.daemon.address, method, request, answer, **options)

    def hello(self, name, **options):
        return self.call("/helloworld.Greeter/SayHello", protos.greeter.HelloRequest(name=name),
                         protos.greeter.HelloReply, **options)

    def assert_code(self, code, function, *arguments, **options):
        with self.assertRaises(grpc.RpcError) as raised:
            function(*arguments, **options)
        self.assertEqual(code, raised.exception.code(), raised.exception)
        return raised.exception.details()

    def test_the_greeter_greets_as_configured(self):
        reply = self.hello("world")
        self.assertIn("Ahoy", reply.message)
        self.assertIn("world", reply.message)

    def test_many_calls_share_a_connection(self):
        with ask.channel(self.daemon.address) as channel:
            call = channel.unary_unary("/helloworld.Greeter/SayHello", response_deserializer=protos.greeter.HelloReply.FromString,
                                       request_serializer=protos.greeter.HelloRequest.SerializeToString)
            answers = [call.future(protos.greeter.HelloRequest(name=f"n{i}"), timeout=30) for i in range(300)]
            for i, answer in enumerate(answers):
                self.assertIn(f"n{i}", answer.result().message)

    def test_a_name_that_is_too_long_is_refused(self):
        details = self.assert_code(grpc.StatusCode.INVALID_ARGUMENT, self.hello, "x" * 100_000)
        self.assertIn("max_name", details)

    def test_a_message_over_the_limit_is_refused(self):
        self.assert_code(grpc.StatusCode.RESOURCE_EXHAUSTED, self.hello, "x" * (17 * 1024 * 1024))

    def test_an_unknown_method_and_an_unknown_service_are_unimplemented(self):
        empty, reply = protos.greeter.HelloRequest(), protos.greeter.HelloReply
        for path, text in (("/helloworld.Greeter/Fly", "unknown method Fly for service helloworld.Greeter"),
                           ("/no.Such/Thing", "unknown service no.Such")):
            self.assertEqual(text, self.assert_code(grpc.StatusCode.UNIMPLEMENTED, self.call, path, empty, reply))

    def test_health_is_told_for_the_whole_and_for_each_service(self):
        for service in ("", "helloworld.Greeter"):
            answer = self.call("/grpc.health.v1.Health/Check", protos.health.HealthCheckRequest(service=service),
                               protos.health.HealthCheckResponse)
            self.assertEqual(protos.health.HealthCheckResponse.SERVING, answer.status)
        self.assert_code(grpc.StatusCode.NOT_FOUND, self.call, "/grpc.health.v1.Health/Check",
                         protos.health.HealthCheckRequest(service="no.Such"), protos.health.HealthCheckResponse)

    def test_a_health_watch_does_not_keep_the_daemon(self):
        with ask.channel(self.daemon.address) as channel:
            watch = channel.unary_stream("/grpc.health.v1.Health/Watch", response_deserializer=protos.health.HealthCheckResponse.FromString,
                                         request_serializer=protos.health.HealthCheckRequest.SerializeToString)
            answers = watch(protos.health.HealthCheckRequest(), timeout=60)
            self.assertEqual(protos.health.HealthCheckResponse.SERVING, next(answers).status)
            self.assert_stops(self.daemon)
            self.assertEqual(protos.health.HealthCheckResponse.NOT_SERVING, next(answers).status)
            self.assert_code(grpc.StatusCode.UNAVAILABLE, next, answers)
            self.assertNotIn("drain", self.daemon.log)
        self.daemon = self.start()

    def test_idle_connections_do_not_keep_the_daemon(self):
        """An idle client reads neither the GOAWAY nor the ping that asks whether it has."""
        with grpc.insecure_channel(f"unix:{self.daemon.address}") as idle, \
                grpc.insecure_channel(f"unix:{self.daemon.address}") as used:
            grpc.channel_ready_future(idle).result(PATIENCE)
            used.unary_unary("/helloworld.Greeter/SayHello")(b"", timeout=PATIENCE)
            time.sleep(0.1)
            began = time.monotonic()
            self.assert_stops(self.daemon)
            self.assertLess(time.monotonic() - began, 4 if IS_SANITIZED else 1)
        self.daemon = self.start()

    def test_a_health_watch_starts_with_the_state(self):
        with ask.channel(self.daemon.address) as channel:
            watch = channel.unary_stream("/grpc.health.v1.Health/Watch", response_deserializer=protos.health.HealthCheckResponse.FromString,
                                         request_serializer=protos.health.HealthCheckRequest.SerializeToString)
            call = watch(protos.health.HealthCheckRequest(service="no.Such"), timeout=30)
            self.assertEqual(protos.health.HealthCheckResponse.SERVICE_UNKNOWN, next(call).status)
            call.cancel()

    def test_the_server_tells_of_itself(self):
        from google.protobuf import empty_pb2

        answer = self.call("/containerd.services.introspection.v1.Introspection/Server", empty_pb2.Empty(),
                           protos.introspection.ServerResponse)
        self.assertEqual(self.daemon.pid, answer.pid)
        self.assertRegex(answer.uuid, "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")

    def test_plugins_stream_in_their_order_with_their_times(self):
        found = list(ask.plugins(self.daemon.address).values())
        started = [p.message.times.init.start_ns for p in found if p.state == "ready"]
        self.assertGreater(len(started), 1)


if __name__ == "__main__":
    unittest.main()
