# SPDX-License-Identifier: Apache-2.0
"""Metrics of the daemon, of its plugins and of calls, beside containerd's and as Debian's Prometheus reads them."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
import unittest
import urllib.parse
import urllib.request

import grpc

import ask
import peers
import protos
from daemon import Case
from test_ttrpc import REQUEST, request
from test_ttrpc import Peer as TtrpcPeer
from workshop import Plugin

IS_SANITIZED = bool(os.environ.get("BERTH_TEST_SANITIZE", ""))
FAMILIES = {"grpc_server_started_total": "counter", "grpc_server_handled_total": "counter",
            "grpc_server_msg_received_total": "counter", "grpc_server_msg_sent_total": "counter",
            "grpc_server_handling_seconds": "histogram"}
CODES = ("OK Canceled Unknown InvalidArgument DeadlineExceeded NotFound AlreadyExists PermissionDenied ResourceExhausted "
         "FailedPrecondition Aborted OutOfRange Unimplemented Internal Unavailable DataLoss Unauthenticated").split()
HEALTH = "grpc.health.v1.Health"
CHECK = f"/{HEALTH}/Check"
SUBSCRIBE = "/containerd.services.events.v1.Events/Subscribe"

# Hands out the text, and what it costs the loop, before any server that exposes it.
READER_CODE = """
#include <time.h>
#include <berth/types/metrics.h>
static const struct berth_host *reader_host;
static void read_metrics(struct berth_call *call, bool wants_cost)
{
    const struct berth_metrics_text *text;
    struct berth_error err;
    struct berth_ref ref;
    struct timespec began, ended;
    const struct berth_metrics *metrics;
    char cost[32];
    enum berth_code code = berth_get_single(reader_host, BERTH_METRICS_TYPE, &ref, &err);

    if (code != BERTH_OK) {
        berth_call_finish(call, code, err.message);
        return;
    }
    metrics = ref.interface;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
    code = metrics->write(ref.instance, &text, &err);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended);
    if (code != BERTH_OK) {
        berth_call_finish(call, code, err.message);
        return;
    }
    snprintf(cost, sizeof(cost), "%lld", (ended.tv_sec - began.tv_sec) * 1000000000LL + ended.tv_nsec - began.tv_nsec);
    berth_call_reply(call, wants_cost ? cost : text->text, wants_cost ? strlen(cost) : text->length);
    metrics->release(ref.instance, text);
}
static void on_read(struct berth_call *call, const void *message, size_t length)
{
    (void)message, (void)length;
    read_metrics(call, false);
}
static void on_cost(struct berth_call *call, const void *message, size_t length)
{
    (void)message, (void)length;
    read_metrics(call, true);
}
static const struct berth_method reader_methods[] = {{.name = "Read", .on_message = on_read},
                                                     {.name = "Cost", .on_message = on_cost}};
static const struct berth_service reader_service = {
    .size = sizeof(reader_service), .method_size = sizeof(reader_methods[0]), .name = "example.Metrics",
    .methods = reader_methods, .method_count = 2};
static const struct berth_service *const reader_services[] = {&reader_service, NULL};
"""
READER = Plugin("io.containerd.grpc.v1", "reader", requires=["io.berth.metrics.v1"], init="reader_host = host;",
                members=".services = reader_services,",
                yaml="services: {example.Metrics: {Read: unary, Cost: unary}}")

# A counter with a label of the caller's making, and one that is set when somebody looks.
AUTHOR_CODE = """
#include <berth/types/metrics.h>
static struct berth_series *author_gauge;
static void author_collect(void *context)
{
    (void)context;
    berth_series_add(author_gauge, 1);
}
static void author_init(const struct berth_host *host)
{
    static const char *const labels[] = {"kind"};
    const struct berth_metric_info info = {.size = sizeof(info), .name = "example_total", .help = "An example.",
                                           .labels = labels, .label_count = 1, .max_series = 10};
    struct berth_metric *metric = berth_metrics_add(host, &info);

    for (int i = 0; i < 1000; i++) {
        char text[16];
        const char *value = text;

        snprintf(text, sizeof(text), "kind %d", i);
        berth_series_add(berth_metrics_series(host, metric, &value), 1);
    }
    author_gauge = berth_metrics_gauge(host, "example_scrapes", "How often somebody looked.");
    berth_metrics_collect(host, author_collect, NULL);
    berth_metrics_counter(host, "berth_example_total", "A name that is not for plugins.");
}
"""
AUTHOR = Plugin("io.example.author.v1", "author", wants=["io.berth.metrics.v1"], init="author_init(host);")


def parse(text):
    """The rows by name and labels, and the types of the families."""
    rows, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in types, f"{name} is there twice"
            types[name] = kind
        elif not line.startswith("#"):
            match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            labels = frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
            assert (match[1], labels) not in rows, f"{line} is there twice"
            rows[match[1], labels] = float(match[3])
    return rows, types


def of_service(rows, service):
    return {key: value for key, value in rows.items() if ("grpc_service", service) in key[1]}


def call_of(path, kind="unary", **more):
    service, method = path[1:].split("/")
    return frozenset({"grpc_service": service, "grpc_method": method, "grpc_type": kind, **more}.items())


class Metrics(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.workshop.add("reader", READER, code=READER_CODE)

    def serve(self, **plugins):
        self.workshop.write_config(plugins={f"io.containerd.{name}": value for name, value in plugins.items()})
        self.daemon = self.start()
        return self.daemon

    def ask(self, method):
        with ask.channel(self.daemon.address) as channel:
            return channel.unary_unary(f"/example.Metrics/{method}")(b"", timeout=60)

    def text(self):
        return self.ask("Read").decode()

    def rows(self):
        return parse(self.text())[0]


class Calls(Metrics):
    def check(self, channel):
        with channel:
            channel.unary_unary(CHECK)(b"", timeout=30)

    def test_the_calls_of_every_transport_are_counted_together(self):
        transports = {HEALTH: ["grpc", "tcp", "ttrpc"]}
        settings = {"io.containerd.server.v1.grpc-tcp": {"address": "127.0.0.1:0"}}
        self.workshop.write_config(plugins=settings, transports=transports)
        self.daemon = self.start()
        port = int(re.search(r"listening address=127\.0\.0\.1:(\d+)", self.daemon.log)[1])
        self.check(ask.channel(self.daemon.address))
        self.check(grpc.insecure_channel(f"127.0.0.1:{port}"))
        with TtrpcPeer(self.daemon.address + ".ttrpc") as peer:
            peer.send(1, REQUEST, 0, request(HEALTH, "Check"))
            peer.read()
        rows = self.rows()
        for name, more in (("started", {}), ("handled", {"grpc_code": "OK"}), ("msg_received", {}), ("msg_sent", {})):
            self.assertEqual(3, rows[f"grpc_server_{name}_total", call_of(CHECK, **more)], name)

    def test_there_are_rows_of_zero_for_every_method_and_code_but_no_histogram(self):
        self.serve()
        rows, types = parse(self.text())
        self.assertEqual({name: kind for name, kind in FAMILIES.items() if kind == "counter"},
                         {name: kind for name, kind in types.items() if name.startswith("grpc_server_")})
        for code in CODES:
            self.assertEqual(0, rows["grpc_server_handled_total", call_of(CHECK, grpc_code=code)])
        services = {dict(labels)["grpc_service"] for name, labels in rows if name == "grpc_server_started_total"}
        self.assertLess({HEALTH, "containerd.services.events.ttrpc.v1.Events", "helloworld.Greeter", "example.Metrics"}, services)

    def test_without_zero_rows_only_what_happened_is_shown(self):
        self.serve(**{"metrics.v1.grpc-prometheus": {"zero_rows": False, "grpc_histogram": True}})
        self.check(ask.channel(self.daemon.address))
        self.text()
        rows = of_service(self.rows(), HEALTH)
        self.assertEqual({("grpc_server_started_total", call_of(CHECK)), ("grpc_server_handled_total", call_of(CHECK, grpc_code="OK")),
                          ("grpc_server_msg_received_total", call_of(CHECK)), ("grpc_server_msg_sent_total", call_of(CHECK))},
                         {key for key in rows if key[0].startswith("grpc_server_") and "handling" not in key[0]})
        self.assertEqual(1, rows["grpc_server_handling_seconds_count", call_of(CHECK)])

    def test_unknown_methods_make_no_rows(self):
        self.serve()
        before = set(self.rows())
        with ask.channel(self.daemon.address) as channel:
            for i in range(100):
                with self.assertRaises(grpc.RpcError):
                    channel.unary_unary(f"/no.Service{i}/Method")(b"", timeout=30)
                with self.assertRaises(grpc.RpcError):
                    channel.unary_unary(f"/{HEALTH}/Method{i}")(b"", timeout=30)
        new = {key for key in self.rows() if key not in before and "Service" in str(key) + str(key[1])}
        self.assertEqual(set(), {key for key in new if "no.Service" in str(key) or "Method" in dict(key[1]).get("grpc_method", "")})

    def test_a_failed_call_counts_by_its_code_and_as_no_message_sent(self):
        self.serve()
        with self.assertRaises(grpc.RpcError):
            ask.unary(self.daemon.address, CHECK, protos.health.HealthCheckRequest(service="nobody"), protos.health.HealthCheckResponse)
        rows = self.rows()
        self.assertEqual(1, rows["grpc_server_handled_total", call_of(CHECK, grpc_code="NotFound")])
        self.assertEqual(0, rows["grpc_server_msg_sent_total", call_of(CHECK)])
        self.assertEqual(1, rows["grpc_server_msg_received_total", call_of(CHECK)])


def wait_for_row(read, key, wanted):
    """Less than the deadline of the call that it waits for."""
    end = time.monotonic() + 30
    while (found := read().get(key)) != wanted:
        if time.monotonic() > end:
            raise AssertionError(f"{key[0]} {set(key[1])} is {found}, not {wanted}")
        time.sleep(0.02)


@unittest.skipIf(len(peers.kinds()) < 2, "containerd is not installed, or we are not root")
class BesideContainerd(Metrics):
    """The rows of the same calls to Debian's containerd."""

    def setUp(self):
        super().setUp()
        self.serve(**{"metrics.v1.grpc-prometheus": {"grpc_histogram": True}})
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.containerd = peers.Containerd()
        self.addCleanup(self.containerd.remove)
        with open(self.containerd.workshop.top / "config.toml", "a", encoding="utf-8") as config:
            config.write(f'[metrics]\n  address = "127.0.0.1:{self.port}"\n  grpc_histogram = true\n')
        self.containerd.start()
        self.containerd.wait_for_socket()

    def theirs(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/metrics", timeout=30) as answer:
            return parse(answer.read().decode())

    def ours(self):
        return parse(self.text())

    def test_names_labels_types_and_counts_are_the_same(self):
        for address in (self.containerd.address, self.daemon.address):
            with ask.channel(address) as channel:
                channel.unary_unary(CHECK)(b"", timeout=30)
        (theirs, their_types), (ours, our_types) = self.theirs(), self.ours()
        for name, kind in FAMILIES.items():
            self.assertEqual((kind, kind), (their_types[name], our_types[name]), name)
        self.assertEqual(their_types["containerd_build_info_total"], our_types["containerd_build_info_total"])
        theirs, ours = ({key: value for key, value in of_service(rows, HEALTH).items() if key[0].startswith("grpc_server_")}
                        for rows in (theirs, ours))
        self.assertEqual(set(theirs), set(ours))
        times = re.compile("grpc_server_handling_seconds_(sum|bucket)")
        self.assertEqual({key: value for key, value in theirs.items() if not times.match(key[0])},
                         {key: value for key, value in ours.items() if not times.match(key[0])})

    def test_a_subscription_that_its_client_cancels_counts_as_ok(self):
        labels = call_of(SUBSCRIBE, "server_stream")
        for address, read in ((self.containerd.address, lambda: self.theirs()[0]), (self.daemon.address, self.rows)):
            # Neither sends anything before the first event, not even headers.
            with ask.channel(address) as channel:
                call = channel.unary_stream(SUBSCRIBE)(b"", timeout=60)
                wait_for_row(read, ("grpc_server_started_total", labels), 1)
                call.cancel()
            wait_for_row(read, ("grpc_server_handled_total", labels | {("grpc_code", "OK")}), 1)
            self.assertEqual(0, read()["grpc_server_handled_total", labels | {("grpc_code", "Canceled")}])


class Daemon(Metrics):
    def test_the_daemon_its_plugins_and_its_stores_are_measured(self):
        self.serve()
        self.assertEqual(0, subprocess.run(["ctr", "--address", self.daemon.address, "namespaces", "create", "harbour"],
                                           check=False).returncode) if shutil.which("ctr") else None
        rows, _ = parse(self.text())
        health = frozenset({("plugin", "io.containerd.grpc.v1.health"), ("state", "ready")})
        self.assertEqual(1, rows["berth_plugin_state", health])
        self.assertIn(("berth_plugin_info", frozenset({("plugin", "io.berth.metrics.v1.registry"), ("module", "metrics"),
                                                       ("version", "0.1.0")})), rows)
        names = {name for name, _ in rows}
        for name in ("berth_ready", "berth_startup_seconds", "berth_plugin_step_seconds", "berth_plugin_loop_seconds_total",
                     "berth_plugin_stalls_total", "berth_plugin_degraded", "berth_plugin_memory_bytes", "berth_loop_lag_seconds",
                     "berth_loop_busy_seconds_total", "berth_loop_turns_total", "berth_calls_in_flight", "berth_sent_bytes_total",
                     "berth_received_bytes_total", "berth_memory_anonymous_bytes", "process_cpu_seconds_total", "process_open_fds",
                     "process_max_fds", "process_resident_memory_bytes", "process_virtual_memory_bytes", "process_start_time_seconds",
                     "berth_events_subscribers", "berth_events_queued", "berth_events_dropped_total", "berth_events_published_total"):
            self.assertIn(name, names)
        self.assertEqual(1, rows["berth_connections", frozenset({("server", "io.containerd.server.v1.grpc")})])
        store = frozenset({("plugin", "io.berth.store.v1.lmdb")})
        if shutil.which("ctr"):
            self.assertEqual(1, rows["berth_store_commits_total", store])
            self.assertEqual(1, rows["berth_store_commit_seconds_count", store])
            self.assertEqual(1, rows["berth_events_published_total", frozenset({("plugin", "io.containerd.event.v1.exchange")})])
        self.assertAlmostEqual(time.time(), rows["process_start_time_seconds", frozenset()], delta=60)
        self.assertEqual(len(os.listdir(f"/proc/{self.daemon.pid}/fd")), rows["process_open_fds", frozenset()] - 1)

    def test_promtool_finds_nothing_to_complain_of(self):
        if shutil.which("promtool") is None:
            self.skipTest("promtool is not installed")
        self.workshop.add("author", AUTHOR, code=AUTHOR_CODE)
        self.serve(**{"metrics.v1.grpc-prometheus": {"grpc_histogram": True}})
        done = subprocess.run(["promtool", "check", "metrics"], input=self.text(), capture_output=True, text=True, check=False)
        # containerd's name has these faults.
        complaints = [line for line in done.stderr.splitlines() + done.stdout.splitlines() if "containerd_build_info" not in line]
        self.assertEqual([], complaints)

    def test_a_plugin_counts_with_its_own_label_and_within_bounds(self):
        self.workshop.add("author", AUTHOR, code=AUTHOR_CODE)
        self.serve()
        uri = ("plugin", "io.example.author.v1.author")
        rows = self.rows()
        self.assertEqual(1, rows["example_total", frozenset({uri, ("kind", "kind 9")})])
        self.assertEqual(990, rows["example_total", frozenset({uri, ("kind", "_other")})])
        self.assertEqual(11, len([name for name, _ in rows if name == "example_total"]))
        scrapes = rows["example_scrapes", frozenset({uri})]
        self.assertEqual(scrapes + 1, self.rows()["example_scrapes", frozenset({uri})])
        self.assertIn("metric example_total of io.example.author.v1.author has reached its maximum of 10 series", self.daemon.log)
        self.assertIn("metric berth_example_total: names that begin with berth_ are reserved", self.daemon.log)

    def test_a_hundred_services_cost_the_loop_less_than_ten_milliseconds(self):
        for i in range(100):
            methods = ", ".join(f'{{.name = "Method{k}", .on_message = on_{i}}}' for k in range(5))
            code = f"""
static void on_{i}(struct berth_call *call, const void *message, size_t length) {{ berth_call_reply(call, message, length); }}
static const struct berth_method methods_{i}[] = {{{methods}}};
static const struct berth_service service_{i} = {{.size = sizeof(service_{i}), .method_size = sizeof(methods_{i}[0]),
    .name = "example.Service{i}", .methods = methods_{i}, .method_count = 5}};
static const struct berth_service *const services_{i}[] = {{&service_{i}, NULL}};
"""
            yaml = f"services: {{example.Service{i}: {{{', '.join(f'Method{k}: unary' for k in range(5))}}}}}"
            plugin = Plugin("io.containerd.grpc.v1", f"p{i}", members=f".services = services_{i},", yaml=yaml)
            self.workshop.add(f"p{i}", plugin, code=code)
        self.serve()
        costs = [int(self.ask("Cost")) / 1e6 for _ in range(9)]
        rows = self.rows()
        print(f"scrape of {len(rows)} rows, {len(self.text())} bytes: {min(costs):.2f} to {max(costs):.2f} ms of processor time")
        self.assertGreater(len(rows), 10000)
        self.assertLess(sorted(costs)[len(costs) // 2], 200 if IS_SANITIZED else 10)


@unittest.skipIf(shutil.which("prometheus") is None, "prometheus is not installed")
class Prometheus(Metrics):
    """Debian's Prometheus reads the text and answers the queries of dashboards for containerd."""

    def setUp(self):
        super().setUp()
        self.workshop.add("author", AUTHOR, code=AUTHOR_CODE)
        self.serve(**{"metrics.v1.grpc-prometheus": {"grpc_histogram": True}, "server.v1.metrics": {"address": "127.0.0.1:0"}})
        target = re.search(r"io\.containerd\.server\.v1\.metrics: .*address=(127\.0\.0\.1:\d+)", self.daemon.log)[1]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        folder = self.workshop.top / "prometheus"
        folder.mkdir()
        job = {"job_name": "berth", "metrics_path": "/v1/metrics",
               "static_configs": [{"targets": [target]}]}
        (folder / "prometheus.yml").write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}))
        with open(folder / "log", "wb") as log:
            self.prometheus = subprocess.Popen(
                ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(self.prometheus.wait)
        self.addCleanup(self.prometheus.kill)

    def query(self, text):
        address = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": text})
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return json.load(answer)["data"]["result"]
        except OSError:
            return []

    def wait_for(self, text, is_wanted):
        end = time.monotonic() + 90
        while not is_wanted(found := self.query(text)):
            self.assertLess(time.monotonic(), end, f"{text}: {found}")
            time.sleep(0.2)

    def test_queries_are_answered(self):
        with ask.channel(self.daemon.address) as channel:
            for _ in range(5):
                channel.unary_unary(CHECK)(b"", timeout=30)
        self.wait_for("up", lambda found: [each["value"][1] for each in found] == ["1"])
        for query, wanted in (
                (f'sum(grpc_server_handled_total{{grpc_service="{HEALTH}",grpc_code="OK"}}) by (grpc_method)', "5"),
                (f'sum(grpc_server_handled_total{{grpc_service="{HEALTH}",grpc_code!="OK"}})', "0"),
                (f'grpc_server_handling_seconds_count{{grpc_service="{HEALTH}",grpc_method="Check"}}', "5"),
                ('count(containerd_build_info_total)', "1"),
                ('example_total{kind="_other"}', "990"),
                ('berth_plugin_state{plugin="io.containerd.grpc.v1.health",state="ready"}', "1")):
            with self.subTest(query=query):
                self.wait_for(query, lambda found, wanted=wanted: wanted in [each["value"][1] for each in found])
        self.wait_for('histogram_quantile(0.99, sum(rate(grpc_server_handling_seconds_bucket[1m])) by (le))',
                      lambda found: len(found) == 1)


if __name__ == "__main__":
    unittest.main()
