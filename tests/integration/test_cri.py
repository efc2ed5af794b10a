# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' CRI on the socket: every method by Google's client, with crictl's habits."""

import json
import re
import signal
import threading
import time
import unittest

import ask
import grpc
import protos
from daemon import PATIENCE, Case, run
from raw_calls import Raw, method
from workshop import Plugin

RUNTIME = "RuntimeService/"
# What is answered on a node without pods and images; the other methods are not implemented.
ANSWERED = {
    "RuntimeService": {"Version", "ListPodSandbox", "StreamPodSandboxes", "ListContainers", "StreamContainers",
                       "ListContainerStats", "StreamContainerStats", "ListPodSandboxStats", "StreamPodSandboxStats",
                       "UpdateRuntimeConfig", "Status", "GetContainerEvents", "ListMetricDescriptors", "ListPodSandboxMetrics",
                       "StreamPodSandboxMetrics", "RuntimeConfig"},
    "ImageService": {"ListImages", "StreamImages", "ImageStatus", "ImageFsInfo"},
}
ROWS = [["io.containerd.cri.v1", "images", "-", "ok"], ["io.containerd.cri.v1", "runtime", "linux/amd64", "ok"],
        ["io.containerd.grpc.v1", "cri", "-", "ok"]]


class Cri(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()

    def begin(self, **settings):
        if settings:
            self.workshop.write_config(**settings)
        self.daemon = self.start()
        return self.daemon

    def raw(self):
        raw = Raw(self.daemon.address)
        self.addCleanup(raw.close)
        return raw

    def call(self, name, timeout=PATIENCE, **request):
        path, request_type, answer_type, _ = method(name)
        return ask.unary(self.daemon.address, path, request_type(**request), answer_type, timeout=timeout)

    def info(self):
        return dict(self.call(RUNTIME + "Status", verbose=True).info)

    def test_every_method_answers_or_says_what_is_missing(self):
        self.begin()
        raw = self.raw()
        for service, answered in ANSWERED.items():
            names = {each.name for each in protos.cri.DESCRIPTOR.services_by_name[service].methods}
            self.assertLessEqual(answered, names)
            for name in sorted(names - {"GetContainerEvents"}):
                with self.subTest(name):
                    answer = raw.call(f"{service}/{name}", {}, namespace=None)
                    if name in answered:
                        self.assertNotRegex(answer, "^[A-Z_]+: ")
                    else:
                        self.assertRegex(answer, "^UNIMPLEMENTED: this daemon (does not run|has no) .* yet")
        self.assert_stops(self.daemon)

    def test_the_commands_of_crictl(self):
        """Each dials anew, calls Version first, and has a deadline of two seconds; its authority is the socket's path."""
        self.begin()
        options = [("grpc.default_authority", self.daemon.address)]
        for name in ("Status", "ListContainers", "ListPodSandbox", "ListContainerStats", "ListPodSandboxStats"):
            self.command(options, RUNTIME + name)
        for name in ("ListImages", "ImageFsInfo"):
            self.command(options, "ImageService/" + name)
        self.assert_stops(self.daemon)

    def command(self, options, name):
        with grpc.insecure_channel(f"unix:{self.daemon.address}", options=options) as channel:
            for each in (RUNTIME + "Version", name):
                path, request_type, answer_type, _ = method(each)
                call = channel.unary_unary(path, request_serializer=request_type.SerializeToString,
                                           response_deserializer=answer_type.FromString)
                answer = call(request_type(), timeout=2)
                if each.endswith("/Version"):
                    self.assertEqual("v1", answer.runtime_api_version)

    def test_status_tells_the_settings_and_what_is_missing(self):
        self.begin(plugins={"io.containerd.cri.v1.runtime": {"containerd": {"runtimes": {"runc": {
            "options": {"SystemdCgroup": True}}, "kata": {"runtime_type": "io.containerd.kata.v2"}}}}})
        status = self.call(RUNTIME + "Status", verbose=True)
        self.assertEqual([("RuntimeReady", False), ("NetworkReady", False), ("ContainerdHasNoDeprecationWarnings", True)],
                         [(each.type, each.status) for each in status.status.conditions])
        self.assertIn("no plugin provides io.containerd.podsandbox.controller.v1", status.status.conditions[0].message)
        config = json.loads(status.info["config"])
        self.assertEqual({"runc", "kata"}, set(config["containerd"]["runtimes"]))
        self.assertIs(True, config["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"])
        self.assertEqual(str(self.workshop.root), config["containerdRootDir"])
        for value in status.info.values():
            json.loads(value)
        self.assertEqual("SYSTEMD", protos.cri.CgroupDriver.Name(self.call(RUNTIME + "RuntimeConfig").linux.cgroup_driver))
        self.assert_stops(self.daemon)

    def test_a_part_that_is_there_is_not_missed(self):
        self.workshop.add("content", Plugin("io.containerd.content.v1", "content"))
        self.workshop.add("snapshots", Plugin("io.containerd.snapshotter.v1", "overlayfs", init="return BERTH_SKIP;"))
        self.begin()
        message = self.call(RUNTIME + "Status").status.conditions[0].message
        self.assertNotIn("io.containerd.content.v1", message)
        self.assertIn("io.containerd.snapshotter.v1 (their file systems), io.containerd.transfer.v1 (image pulls); ", message)
        self.assertTrue(message.endswith("; io.containerd.grpc.v1.cri does not start pods yet"), message)
        self.assert_stops(self.daemon)

    def test_deprecated_settings_are_a_condition(self):
        mirrors = {"registry": {"mirrors": {"docker.io": {"endpoint": ["https://mirror.example.com"]}}}}
        settings = {"io.containerd.cri.v1.images": mirrors, "io.containerd.cri.v1.runtime": {"enable_cdi": False}}
        self.begin(plugins=settings)
        condition = self.call(RUNTIME + "Status").status.conditions[2]
        self.assertFalse(condition.status)
        met = json.loads(condition.message)
        self.assertIn("io.containerd.deprecation/enable-cdi", met)
        others = [id for id in met if id.endswith("registry.mirrors")]
        self.assertEqual(1, len(others), met)
        self.assert_stops(self.daemon)
        settings["io.containerd.cri.v1.runtime"]["ignore_deprecation_warnings"] = list(met)
        self.begin(plugins=settings)
        self.assertTrue(self.call(RUNTIME + "Status").status.conditions[2].status)
        self.assert_stops(self.daemon)

    def test_ranges_of_pods_survive_a_kill(self):
        self.begin()
        self.call(RUNTIME + "UpdateRuntimeConfig", runtime_config={"network_config": {"pod_cidr": "10.244.0.0/16, fd00::/64"}})
        self.daemon.send(signal.SIGKILL)
        self.daemon.wait()
        self.begin()
        self.assertEqual("10.244.0.0/16,fd00::/64", json.loads(self.info()["podCIDR"]))
        with self.assertRaises(grpc.RpcError) as raised:
            self.call(RUNTIME + "UpdateRuntimeConfig", runtime_config={"network_config": {"pod_cidr": "10.244.0.0/40"}})
        self.assertEqual(grpc.StatusCode.INVALID_ARGUMENT, raised.exception.code())
        self.assertEqual("10.244.0.0/16,fd00::/64", json.loads(self.info()["podCIDR"]))
        self.assert_stops(self.daemon)

    def events(self, channel, timeout=None):
        path, request_type, answer_type, _ = method(RUNTIME + "GetContainerEvents")
        call = channel.unary_stream(path, request_serializer=request_type.SerializeToString,
                                    response_deserializer=answer_type.FromString)
        return call(request_type(), timeout=timeout)

    def test_events_last_until_their_deadline(self):
        self.begin()
        with ask.channel(self.daemon.address) as channel:
            begin = time.monotonic()
            with self.assertRaises(grpc.RpcError) as raised:
                list(self.events(channel, timeout=0.5))
            self.assertEqual(grpc.StatusCode.DEADLINE_EXCEEDED, raised.exception.code())
            self.assertGreaterEqual(time.monotonic() - begin, 0.4)
            self.assertEqual("0.1.0", self.call(RUNTIME + "Version").version)
        self.assert_stops(self.daemon)

    def test_events_end_with_the_daemon(self):
        self.begin()
        with ask.channel(self.daemon.address) as channel:
            calls = [self.events(channel) for _ in range(20)]
            for call in calls:
                call.initial_metadata()
            calls.pop().cancel()
            stop = threading.Thread(target=self.daemon.send, args=(signal.SIGTERM,))
            stop.start()
            for call in calls:
                with self.assertRaises(grpc.RpcError) as raised:
                    list(call)
                self.assertEqual((grpc.StatusCode.UNAVAILABLE, "the CRI service is stopping; call again"),
                                 (raised.exception.code(), raised.exception.details()))
            stop.join()
        self.assertEqual(0, self.daemon.wait(), self.daemon.log)

    def test_the_tools_know_it(self):
        self.begin()
        done = self.daemon.ctl("call", "runtime.v1.RuntimeService/Version")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual("berth", json.loads(done.stdout)["runtimeName"])
        done = self.daemon.ctl("describe", "runtime.v1.ImageService")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertRegex(done.stdout, r"rpc PullImage ?\(.*PullImageRequest\)")
        self.assert_stops(self.daemon)

    def test_ctr_lists_three_plugins(self):
        self.begin()
        try:
            done = run("ctr", "--address", self.daemon.address, "plugins", "ls")
        except FileNotFoundError:
            self.skipTest("ctr is not installed")
        rows = [line.split() for line in done.stdout.splitlines()]
        for row in ROWS:
            found = next((each for each in rows if each[:2] == row[:2]), None)
            if row[2] != "-":
                self.assertRegex(found[2], "^linux/")
                row = [*row[:2], found[2], row[3]]
            self.assertEqual(row, found)
        self.assert_stops(self.daemon)

    def test_mistakes_are_named_with_their_line(self):
        config = self.workshop.write_config(
            f"version: 1\nroot: {self.workshop.root}\nstate: {self.workshop.state}\nplugin_dirs: [{self.workshop.plugins}]\n"
            "plugins:\n"
            "  io.containerd.cri.v1.images:\n"
            "    registry:\n"
            "      config_path: /etc/certs.d\n"
            "      mirrors: {docker.io: {endpoint: [mirror]}}\n"
            "  io.containerd.cri.v1.runtime:\n"
            "    containerd:\n"
            "      default_runtime_name: kata\n"
            "  io.containerd.grpc.v1.cri:\n"
            "    stream_server_port: \"70000\"\n")
        done = self.berthd("config", "check", "--load", "--config", config)
        self.assertNotEqual(0, done.returncode)
        text = done.stdout + done.stderr
        self.assertRegex(text, re.escape(str(config)) + r":8:20: .*registry\.config_path: cannot be combined with mirrors")
        self.assertRegex(text, r":9:40: .*\"mirror\" is not a URL")
        self.assertRegex(text, r":12:29: .*\"kata\" is not listed under containerd\.runtimes")
        self.assertRegex(text, r":14:25: .*\"70000\" is not a port")


if __name__ == "__main__":
    unittest.main()
