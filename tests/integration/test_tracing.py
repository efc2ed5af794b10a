# SPDX-License-Identifier: Apache-2.0
"""Traces as an operator has them: what arrives at a collector, and what becomes of a daemon whose collector does not."""

import shutil
import socket
import ssl
import time
import unittest

import ask
import grpc
import protos
import test_tls
from daemon import Case, run
from otlp_receiver import GrpcReceiver, HttpReceiver
from test_ttrpc import Peer, REQUEST, field, request
from workshop import BUILD, SOURCE, Plugin

HELLO = "/helloworld.Greeter/SayHello"
OTLP = "io.containerd.tracing.processor.v1.otlp"
TRACING = "io.containerd.internal.v1.tracing"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
PARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"

# Calls the greeter of another daemon within a span of its own, by the example of the guide.
RELAY = """
#include <berth/rpc/client.h>
#include <berth/types/tracing.h>

static struct relay { const struct berth_host *host; struct berth_rpc_channel *channel; struct berth_tracer tracer;
                      struct berth_span *span; } relay;

static void on_message(void *context, struct berth_rpc_call *out, const void *message, size_t length)
{
    berth_call_send((struct berth_call *)context, message, length);
}

static void on_end(void *context, struct berth_rpc_call *out, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    berth_span_end(relay.span);
    berth_call_finish((struct berth_call *)context, code, message);
}

static const struct berth_rpc_call_handlers handlers = {.size = sizeof(handlers), .on_message = on_message, .on_end = on_end};

static void pass_on(struct berth_call *call, const void *message, size_t length)
{
    struct berth_rpc_call *out;
    struct berth_error err;

    berth_log(relay.host, BERTH_LOG_INFO, "relaying bytes=%zu", length);
    relay.span = berth_span_start_client(&relay.tracer, call->trace, "relay");
    berth_span_set(relay.span, "relay.to", TO);
    berth_span_event(relay.span, "sent");
    const struct berth_rpc_call_options what = {.size = sizeof(what), .path = "/helloworld.Greeter/SayHello",
                                                .parent = call, .trace = berth_span_trace(relay.span)};
    if (berth_rpc_call_start(relay.channel, &what, &handlers, call, &out, &err) != BERTH_OK) {
        berth_call_finish(call, BERTH_INTERNAL, err.message);
        return;
    }
    berth_rpc_call_send(out, message, length);
    berth_rpc_call_half_close(out);
}

static const struct berth_method methods[] = {{.name = "Pass", .on_message = pass_on}};
static const struct berth_service service = {.size = sizeof(service), .method_size = sizeof(methods[0]), .name = "test.Relay",
                                             .methods = methods, .method_count = 1};
static const struct berth_service *const services[] = {&service, NULL};

static void on_channel_closed(void *context)
{
    berth_complete(relay.host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

static enum berth_code close_relay(const struct berth_host *host, void *instance, struct berth_error *err)
{
    berth_tracer_close(&relay.tracer);
    berth_rpc_channel_close(relay.channel, on_channel_closed, NULL);
    return BERTH_PENDING;
}
"""
RELAY_INIT = """
    const struct berth_rpc_channel_options where = {.size = sizeof(where), .address = TO, .protocol = PROTOCOL};
    relay.host = host;
    berth_tracer_open(host, &relay.tracer);
    return berth_rpc_channel_create(host->loop, &where, &relay.channel, err);
"""


class Traced(Case):
    """A daemon whose spans arrive at once, by gRPC unless a test says otherwise."""

    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()

    def receive(self, *answers):
        receiver = GrpcReceiver("127.0.0.1:0")
        self.addCleanup(receiver.close)
        receiver.answers = list(answers)
        return receiver

    def receive_http(self, *answers):
        receiver = HttpReceiver()
        self.addCleanup(receiver.close)
        receiver.answers = list(answers)
        return receiver

    def trace_to(self, receiver, **variables):
        protocol = "grpc" if isinstance(receiver, GrpcReceiver) else "http/protobuf"
        return self.start(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{receiver.port}",
                          OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
                          **{"OTEL_BSP_SCHEDULE_DELAY": 20, **variables})

    def hello(self, daemon, **metadata):
        return ask.unary(daemon.address, HELLO, protos.greeter.HelloRequest(name="me"), protos.greeter.HelloReply,
                         metadata=list(metadata.items()))


class Export(Traced):
    def test_without_an_endpoint_nothing_is_loaded(self):
        daemon = self.start()
        plugins = self.plugins(daemon)
        self.assertEqual("skipped", plugins[OTLP].state)
        self.assertIn("OTEL_EXPORTER_OTLP_ENDPOINT|OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set", plugins[OTLP].reason)
        self.assertEqual("skipped", plugins[TRACING].state)
        with open(f"/proc/{daemon.pid}/maps", encoding="utf-8") as maps:
            self.assertNotIn("tracing.so", maps.read())
        self.hello(daemon)
        self.assert_stops(daemon)

    def test_a_call_arrives_as_a_span_of_the_conventions(self):
        receiver = self.receive()
        daemon = self.trace_to(receiver, OTEL_SERVICE_NAME="shop", OTEL_RESOURCE_ATTRIBUTES="a=b%20c,service.name=x",
                               OTEL_EXPORTER_OTLP_HEADERS="Api-Key=a%2Cb")
        before = time.time_ns()
        self.hello(daemon, traceparent=PARENT, tracestate="v=1")
        span = receiver.wait(name="helloworld.Greeter/SayHello")[0]
        self.assertEqual((TRACE_ID, SPAN_ID, "v=1", 2), (span["trace_id"], span["parent"], span["state"], span["kind"]))
        self.assertEqual(0x301, span["flags"])
        self.assertEqual((0, ""), span["status"])
        self.assertLessEqual(before, span["start"])
        self.assertLess(span["start"], span["end"])
        self.assertLessEqual(span["end"], time.time_ns())
        self.assertEqual({"rpc.system.name": "grpc", "rpc.method": "helloworld.Greeter/SayHello",
                          "rpc.response.status_code": "OK", "network.transport": "unix"},
                         {key: value for key, value in span["attributes"].items() if key != "process.pid"})
        self.assertEqual(("shop", "b c", "berth"), tuple(span["resource"][key] for key in (
            "service.name", "a", "telemetry.sdk.name")))
        self.assertEqual(TRACING, span["scope"])
        self.assertEqual("a,b", receiver.requests[0][1]["api-key"])
        self.assert_stops(daemon)

    def test_the_same_over_ttrpc(self):
        receiver = self.receive()
        daemon = self.trace_to(receiver)
        with Peer(daemon.address + ".ttrpc") as peer:
            peer.send(1, REQUEST, 0, request("helloworld.Greeter", "SayHello", field(1, b"me"), traceparent=PARENT,
                                             baggage="k=" + "x" * 9000))
            peer.read()
            peer.send(3, REQUEST, 0, request("helloworld.Greeter", "SayHello", field(1, b"me"), baggage="k=" + "x" * (1 << 20)))
            self.assertEqual(8, peer.status(3)[0])
        span = receiver.wait(trace_id=TRACE_ID)[0]
        self.assertEqual({"rpc.system": "ttrpc", "rpc.service": "helloworld.Greeter", "rpc.method": "SayHello",
                          "rpc.grpc.status_code": 0},
                         {key: value for key, value in span["attributes"].items() if key.startswith("rpc.")})
        daemon.wait_for_log("ignored invalid trace headers")
        self.assertIn("baggage=1", daemon.log)
        self.assert_stops(daemon)

    def test_hostile_headers_begin_a_trace_of_ones_own(self):
        receiver = self.receive()
        daemon = self.trace_to(receiver)
        for parent in (f"ff-{TRACE_ID}-{SPAN_ID}-01", f"00-{'0' * 32}-{SPAN_ID}-01", f"00-{TRACE_ID}-{SPAN_ID}-zz", "x" * 4000):
            self.hello(daemon, traceparent=parent)
        self.hello(daemon, traceparent=PARENT, tracestate=",".join(f"k{i}=v" for i in range(33)))
        spans = receiver.wait(5, name="helloworld.Greeter/SayHello")
        self.assertEqual(["", "", "", "", SPAN_ID], [span["parent"] for span in spans])
        self.assertEqual("", spans[4]["state"])
        self.assertEqual(5, len({span["trace_id"] for span in spans}))
        self.assert_stops(daemon)
        self.assert_line(daemon.log, "traceparent=4 tracestate=1")

    def test_only_failures_of_the_server_are_errors(self):
        receiver = self.receive()
        daemon = self.trace_to(receiver)
        for method in ("Get", "Nothing"):
            with self.assertRaises(grpc.RpcError):
                ask.unary(daemon.address, f"/containerd.services.containers.v1.Containers/{method}",
                          protos.containers.GetContainerRequest(id="none"), protos.containers.GetContainerResponse,
                          metadata=[("containerd-namespace", "default")])
        span = receiver.wait(name="containerd.services.containers.v1.Containers/Get")[0]
        self.assertEqual("NOT_FOUND", span["attributes"]["rpc.response.status_code"])
        self.assertEqual((0, ""), span["status"])
        self.assert_stops(daemon)

    def test_what_ended_before_the_daemon_stops_arrives(self):
        receiver = self.receive()
        daemon = self.trace_to(receiver, OTEL_BSP_SCHEDULE_DELAY=600000)
        for _ in range(600):
            self.hello(daemon)
        self.assert_stops(daemon)
        self.assertEqual(600, len(receiver.find(name="helloworld.Greeter/SayHello")))
        self.assertLessEqual(max(count for count, _ in receiver.requests), 512)

    def test_a_caller_that_is_not_sampled_is_not_recorded(self):
        receiver = self.receive()
        daemon = self.trace_to(receiver)
        self.hello(daemon, traceparent=PARENT[:-2] + "00")
        self.hello(daemon)
        self.assertEqual(1, len(receiver.wait(name="helloworld.Greeter/SayHello")))
        self.assertNotEqual(TRACE_ID, receiver.spans[0]["trace_id"])
        self.assert_stops(daemon)
        self.assertEqual(1, len(receiver.spans))

    @unittest.skipIf(shutil.which("ctr") is None, "ctr is not installed (Debian's package containerd)")
    def test_ctr_containers_ls_arrives(self):
        receiver = self.receive()
        daemon = self.trace_to(receiver)
        done = run("ctr", "--address", daemon.address, "containers", "ls")
        self.assertEqual(0, done.returncode, done.stderr)
        span = receiver.wait(name="containerd.services.containers.v1.Containers/ListStream")[0]
        self.assertEqual("OK", span["attributes"]["rpc.response.status_code"])
        self.assert_stops(daemon)

    def test_a_variable_without_effect_fails_the_plugin_and_not_the_daemon(self):
        daemon = self.start(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_EXPORTER_OTLP_PROTOCOL="http/json")
        plugin = self.plugins(daemon)[OTLP]
        self.assertEqual("failed", plugin.state)
        self.assertIn('OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" is not supported', plugin.reason)
        self.hello(daemon)
        self.assert_stops(daemon)

    def test_a_setting_is_an_error(self):
        for uri, key in ((OTLP, "endpoint"), (TRACING, "sampling_ratio")):
            self.workshop.write_config(plugins={uri: {key: "x"}})
            done = self.berthd("config", "check", "--config", self.workshop.config)
            self.assertEqual(3, done.returncode, done.stdout + done.stderr)
            self.assertIn(f'{uri}: unknown setting "{key}"', done.stdout + done.stderr)

    def test_disabled_is_skipped(self):
        daemon = self.start(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_SDK_DISABLED="true")
        plugins = self.plugins(daemon)
        self.assertEqual(["skipped", "skipped"], [plugins[OTLP].state, plugins[TRACING].state])
        self.assert_stops(daemon)


class Failures(Traced):
    def test_a_collector_that_is_down_stops_nobody(self):
        daemon = self.start(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
                            OTEL_BSP_SCHEDULE_DELAY=10, OTEL_BSP_MAX_QUEUE_SIZE=20, OTEL_BSP_EXPORT_TIMEOUT=500)
        for _ in range(100):
            self.hello(daemon)
        daemon.wait_for_log("spans dropped: ")
        began = time.monotonic()
        self.assert_stops(daemon)
        self.assertLess(time.monotonic() - began, 15)
        self.assertLessEqual(daemon.log.count("spans dropped: "), 2)
        self.assert_line(daemon.log, "spans dropped", "dropped=100 exported=0")

    def test_unavailable_is_tried_again(self):
        receiver = self.receive((grpc.StatusCode.UNAVAILABLE, b""), None)
        daemon = self.trace_to(receiver)
        self.hello(daemon)
        receiver.wait(name="helloworld.Greeter/SayHello")
        self.assertEqual(2, len(receiver.requests))
        self.assertGreater(receiver.times[1] - receiver.times[0], 0.7)
        self.assert_stops(daemon)
        self.assertNotIn("spans dropped", daemon.log)

    def test_exhausted_is_tried_again_only_with_retry_info(self):
        info = field(1, b"\x08\x02")
        details = b"\x08\x08" + field(3, field(1, b"type.googleapis.com/google.rpc.RetryInfo") + field(2, info))
        receiver = self.receive((grpc.StatusCode.RESOURCE_EXHAUSTED, b""), (grpc.StatusCode.RESOURCE_EXHAUSTED, details), None)
        daemon = self.trace_to(receiver)
        self.hello(daemon)
        daemon.wait_for_log("spans dropped: RESOURCE_EXHAUSTED: as the test wants")
        self.hello(daemon)
        receiver.wait(name="helloworld.Greeter/SayHello")
        self.assertEqual(3, len(receiver.requests))
        self.assertGreaterEqual(receiver.times[2] - receiver.times[1], 1.9)
        self.assert_stops(daemon)
        self.assert_line(daemon.log, "spans dropped", "dropped=1")

    def test_partial_success_is_not_tried_again(self):
        partial = field(1, b"\x08\x01" + field(2, b"too old"))
        receiver = self.receive(partial)
        daemon = self.trace_to(receiver)
        self.hello(daemon)
        daemon.wait_for_log("spans dropped: the collector says: too old")
        self.assert_stops(daemon)
        self.assertEqual(1, len(receiver.requests))

    def test_a_collector_that_answers_nonsense(self):
        receiver = self.receive(b"\xff\xff\xff", (grpc.StatusCode.INVALID_ARGUMENT, b"\xff\xff"))
        daemon = self.trace_to(receiver)
        self.hello(daemon)
        receiver.wait_for_requests(1)
        self.hello(daemon)
        daemon.wait_for_log("spans dropped: INVALID_ARGUMENT")
        self.assert_stops(daemon)
        self.assertEqual(2, len(receiver.requests))


class Http(Traced):
    """The same by HTTP: libcurl is loaded, and no thread of its own starts."""

    def test_spans_arrive(self):
        receiver = self.receive_http()
        daemon = self.trace_to(receiver, OTEL_EXPORTER_OTLP_HEADERS="api-key=secret")
        with open(f"/proc/{daemon.pid}/status", encoding="utf-8") as status:
            threads = status.read().splitlines()
        with open(f"/proc/{daemon.pid}/maps", encoding="utf-8") as maps:
            self.assertNotIn("libcurl", maps.read(), "before the first span")
        for _ in range(3):
            self.hello(daemon, traceparent=PARENT)
            time.sleep(0.1)
        spans = receiver.wait(3, name="helloworld.Greeter/SayHello")
        self.assertEqual({TRACE_ID}, {span["trace_id"] for span in spans})
        headers = receiver.requests[0][1]
        self.assertEqual(("/v1/traces", "application/x-protobuf", "secret"),
                         tuple(headers[key] for key in (":path", "content-type", "api-key")))
        with open(f"/proc/{daemon.pid}/status", encoding="utf-8") as status:
            self.assertEqual([line for line in threads if line.startswith("Threads")],
                             [line for line in status.read().splitlines() if line.startswith("Threads")])
        with open(f"/proc/{daemon.pid}/maps", encoding="utf-8") as maps:
            self.assertIn("libcurl", maps.read())
        self.assert_stops(daemon)

    def test_a_name_is_resolved_without_a_thread_of_libcurls(self):
        receiver = self.receive_http()
        daemon = self.start(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://localhost:{receiver.port}/mine",
                            OTEL_EXPORTER_OTLP_COMPRESSION="gzip", OTEL_BSP_SCHEDULE_DELAY=20)
        self.hello(daemon)
        receiver.wait(name="helloworld.Greeter/SayHello")
        self.assertEqual(("/mine", "gzip"), tuple(receiver.requests[0][1][key] for key in (":path", "content-encoding")))
        self.assert_stops(daemon)

    def test_retry_after_is_kept(self):
        receiver = self.receive_http((429, {"Retry-After": "2"}), (503, {}), None)
        daemon = self.trace_to(receiver)
        self.hello(daemon)
        receiver.wait(name="helloworld.Greeter/SayHello")
        self.assertEqual(3, len(receiver.requests))
        self.assertGreaterEqual(receiver.times[1] - receiver.times[0], 1.9)
        self.assert_stops(daemon)
        self.assertNotIn("spans dropped", daemon.log)

    def test_other_answers_are_final(self):
        receiver = self.receive_http((400, {}), (302, {"Location": "http://127.0.0.1:9/"}))
        daemon = self.trace_to(receiver)
        self.hello(daemon)
        daemon.wait_for_log("spans dropped: the collector answered with HTTP status 400")
        self.hello(daemon)
        receiver.wait_for_requests(2)
        self.assert_stops(daemon)
        self.assertEqual(2, len(receiver.requests))

    def test_an_answer_without_end_and_one_too_large(self):
        receiver = self.receive_http(b"x" * 200000)
        daemon = self.trace_to(receiver, OTEL_BSP_EXPORT_TIMEOUT=500)
        self.hello(daemon)
        daemon.wait_for_log("spans dropped: the answer is too large")
        self.assert_stops(daemon)

    def test_a_collector_that_never_answers(self):
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        daemon = self.start(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{listener.getsockname()[1]}",
                            OTEL_EXPORTER_OTLP_TIMEOUT=300, OTEL_BSP_EXPORT_TIMEOUT=400, OTEL_BSP_SCHEDULE_DELAY=20)
        self.hello(daemon)
        daemon.wait_for_log("spans dropped: ")
        self.hello(daemon)
        began = time.monotonic()
        self.assert_stops(daemon)
        self.assertLess(time.monotonic() - began, 15)

    def test_a_collector_that_is_down(self):
        daemon = self.start(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_BSP_SCHEDULE_DELAY=20,
                            OTEL_BSP_EXPORT_TIMEOUT=100)
        self.hello(daemon)
        daemon.wait_for_log("spans dropped: ")
        self.hello(daemon)
        self.assert_stops(daemon)


class Secure(Traced):
    """Both transports over TLS, with a certificate of the daemon's own."""

    openssl, make_authority = test_tls.Tls.openssl, test_tls.Tls.make_authority
    make_certificate = test_tls.Tls.make_certificate

    def setUp(self):
        super().setUp()
        self.folder = self.workshop.top / "tls"
        self.folder.mkdir()
        self.make_authority("ca")
        for name in ("server", "client"):
            self.make_certificate(name, "ca", "DNS:localhost")

    def file(self, name):
        return self.folder / name

    def start_secure(self, receiver, protocol, **variables):
        return self.start(OTEL_EXPORTER_OTLP_ENDPOINT=f"https://localhost:{receiver.port}", OTEL_BSP_SCHEDULE_DELAY=20,
                          OTEL_EXPORTER_OTLP_PROTOCOL=protocol, OTEL_EXPORTER_OTLP_CERTIFICATE=self.file("ca.pem"), **variables)

    def assert_takes_only_the_clients(self, receiver, protocol):
        self.addCleanup(receiver.close)
        daemon = self.start_secure(receiver, protocol, OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=self.file("client.pem"),
                                   OTEL_EXPORTER_OTLP_CLIENT_KEY=self.file("client.key"))
        self.hello(daemon)
        receiver.wait(name="helloworld.Greeter/SayHello")
        self.assert_stops(daemon)
        daemon = self.start_secure(receiver, protocol, OTEL_BSP_EXPORT_TIMEOUT=300)
        self.hello(daemon)
        daemon.wait_for_log("spans dropped: ")
        self.assert_stops(daemon)
        self.assertEqual(1, len(receiver.spans))

    def test_grpc(self):
        read = [self.file(name).read_bytes() for name in ("server.key", "server.pem", "ca.pem")]
        credentials = grpc.ssl_server_credentials([(read[0], read[1])], read[2], require_client_auth=True)
        self.assert_takes_only_the_clients(GrpcReceiver("localhost:0", credentials), "grpc")

    def test_http(self):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.file("ca.pem"))
        context.load_cert_chain(self.file("server.pem"), self.file("server.key"))
        context.verify_mode = ssl.CERT_REQUIRED
        self.assert_takes_only_the_clients(HttpReceiver(context), "http/protobuf")


class Propagation(Traced):
    def relay(self, to, protocol="BERTH_RPC_GRPC"):
        """A daemon whose test.Relay calls the greeter of another."""
        self.workshop.add("relay", Plugin("io.test.v1", "relay", wants=[TRACING], init=RELAY_INIT,
                                          yaml="services: {test.Relay: {Pass: unary}}\ncallbacks: [close]",
                                          members=".close = close_relay, .services = services,"),
                          code=f'#define TO "{to}"\n#define PROTOCOL {protocol}\n' + RELAY,
                          flags=[f"-I{SOURCE}/sdk/rpc/include", f"-L{BUILD}/sdk/rpc", "-lberth-rpc"])

    def two_daemons(self, suffix, protocol):
        receiver = self.receive()
        second = self.trace_to(receiver, OTEL_SERVICE_NAME="second")
        first_shop, self.workshop = self.workshop, type(self.workshop)()
        self.addCleanup(self.workshop.remove)
        self.workshop.add_default_modules()
        self.relay(second.address + suffix, protocol)
        first = self.trace_to(receiver, OTEL_SERVICE_NAME="first")
        reply = ask.unary(first.address, "/test.Relay/Pass", protos.greeter.HelloRequest(name="me"), protos.greeter.HelloReply,
                          metadata=[("traceparent", PARENT), ("tracestate", "v=1"), ("baggage", "k=v")])
        self.assertEqual("Hello me", reply.message)
        hello = receiver.wait(name="helloworld.Greeter/SayHello")[0]
        relay = receiver.wait(name="relay")[0]
        taken = receiver.wait(name="test.Relay/Pass")[0]
        self.assertEqual([TRACE_ID] * 3, [span["trace_id"] for span in (hello, relay, taken)])
        self.assertEqual([relay["span_id"], taken["span_id"], SPAN_ID], [span["parent"] for span in (hello, relay, taken)])
        self.assertEqual(["second", "first", "first"],
                         [span["resource"]["service.name"] for span in (hello, relay, taken)])
        self.assertEqual([0x301, 0x101, 0x301], [span["flags"] for span in (hello, relay, taken)])
        self.assertEqual("v=1", hello["state"])
        self.assertEqual(("io.test.v1.relay", 3, {"relay.to": second.address + suffix}, "sent"),
                         (relay["scope"], relay["kind"], relay["attributes"], relay["events"][0][0]))
        self.assert_line(first.log, "relaying bytes=4", f"trace_id={TRACE_ID}")
        self.assert_stops(first)
        self.assert_stops(second)
        self.workshop, other = first_shop, self.workshop
        del other

    def test_a_trace_goes_through_two_daemons_over_grpc(self):
        self.two_daemons("", "BERTH_RPC_GRPC")

    def test_and_over_ttrpc(self):
        self.two_daemons(".ttrpc", "BERTH_RPC_TTRPC")

    def test_the_access_log_names_the_trace(self):
        self.workshop.write_config(plugins={"io.berth.interceptor.v1.access-log": {"enabled": True}})
        receiver = self.receive()
        daemon = self.trace_to(receiver)
        self.hello(daemon)
        span = receiver.wait(name="helloworld.Greeter/SayHello")[0]
        self.assert_line(daemon.log, "call method=/helloworld.Greeter/SayHello", f"trace_id={span['trace_id']}")
        self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
