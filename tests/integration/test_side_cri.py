# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' CRI on nodes where nothing runs: what containerd's plugin answers, ours answers, but for what is listed here."""

import json
import re
import time
import unittest

import protos
from raw_calls import Raw, method
from side_by_side import SideBySide

PODS = "we run no pods yet: we say so, whatever the request; containerd looks for the pod or the container first"
LATER = "containerd has it since 1.7 or later; Debian's is older"
# What we answer where that is not what containerd does, and why: the whole answer, or its begin for "…".
NO_PODS = "UNIMPLEMENTED: this daemon does not run pods yet…"
NO_CONTAINERS = "UNIMPLEMENTED: this daemon does not run containers yet…"
NO_IMAGES = "UNIMPLEMENTED: this daemon has no images yet…"
DIFFERENCES = {
    "RuntimeService/Version": ("each has its own name and version", 'version: "0.1.0"\nruntime_name: "berth"…'),
    "RuntimeService/Status": ("no pod can run, so the runtime is not ready; and deprecations are told as by containerd 2",
                              'status {\n  conditions {\n    type: "RuntimeReady"\n    reason: "NoPodSandboxes"…'),
    "RuntimeService/RunPodSandbox": (PODS, NO_PODS),
    "RuntimeService/StopPodSandbox": (PODS, NO_PODS),
    "RuntimeService/RemovePodSandbox": (PODS, NO_PODS),
    "RuntimeService/PodSandboxStatus": (PODS, NO_PODS),
    "RuntimeService/PodSandboxStats": (PODS, NO_PODS),
    "RuntimeService/UpdatePodSandboxResources": (PODS, NO_PODS),
    "RuntimeService/CreateContainer": (PODS, NO_CONTAINERS),
    "RuntimeService/StartContainer": (PODS, NO_CONTAINERS),
    "RuntimeService/StopContainer": (PODS, NO_CONTAINERS),
    "RuntimeService/RemoveContainer": (PODS, NO_CONTAINERS),
    "RuntimeService/ContainerStatus": (PODS, NO_CONTAINERS),
    "RuntimeService/ContainerStats": (PODS, NO_CONTAINERS),
    "RuntimeService/UpdateContainerResources": (PODS, NO_CONTAINERS),
    "RuntimeService/ReopenContainerLog": (PODS, NO_CONTAINERS),
    "RuntimeService/ExecSync": (PODS, NO_CONTAINERS),
    "RuntimeService/Exec": (PODS, NO_CONTAINERS),
    "RuntimeService/Attach": (PODS, NO_CONTAINERS),
    "RuntimeService/PortForward": (PODS, NO_CONTAINERS),
    "RuntimeService/CheckpointContainer": (PODS, NO_CONTAINERS),
    "RuntimeService/CheckpointPod": (PODS, NO_CONTAINERS),
    "RuntimeService/RestorePod": (PODS, NO_CONTAINERS),
    "RuntimeService/RuntimeConfig": (LATER, "linux {\n  cgroup_driver: CGROUPFS\n}\n"),
    "RuntimeService/ListMetricDescriptors": (LATER, ""),
    "RuntimeService/ListPodSandboxMetrics": (LATER, ""),
    "RuntimeService/StreamPodSandboxes": (LATER, ""),
    "RuntimeService/StreamContainers": (LATER, ""),
    "RuntimeService/StreamContainerStats": (LATER, ""),
    "RuntimeService/StreamPodSandboxStats": (LATER, ""),
    "RuntimeService/StreamPodSandboxMetrics": (LATER, ""),
    "ImageService/StreamImages": (LATER, ""),
    "ImageService/PullImage": ("we have no images yet, and say so whatever the request", NO_IMAGES),
    "ImageService/RemoveImage": ("we have no images yet; containerd does nothing where an image is not there", NO_IMAGES),
}
# Ends only with the daemon.
ENDLESS = "RuntimeService/GetContainerEvents"
# The same calls with requests in them.
REQUESTS = (
    ("RuntimeService/ListPodSandbox", {"filter": {"id": "x", "state": {"state": 1}, "label_selector": {"a": "b"}}}),
    ("RuntimeService/ListContainers", {"filter": {"id": "x", "pod_sandbox_id": "y", "state": {"state": 2}}}),
    ("RuntimeService/ListContainerStats", {"filter": {"id": "x"}}),
    ("RuntimeService/ListPodSandboxStats", {"filter": {"id": "x"}}),
    ("RuntimeService/Version", {"version": "v2"}, *DIFFERENCES["RuntimeService/Version"]),
    ("RuntimeService/UpdateRuntimeConfig", {"runtime_config": {}}),
    ("RuntimeService/UpdateRuntimeConfig", {"runtime_config": {"network_config": {}}}),
    ("RuntimeService/UpdateRuntimeConfig", {"runtime_config": {"network_config": {"pod_cidr": "10.0.0.0/16, fd00::/64"}}}),
    *(("RuntimeService/UpdateRuntimeConfig", {"runtime_config": {"network_config": {"pod_cidr": text}}},
       "a wrong request is its caller's mistake; containerd says UNKNOWN",
       f'INVALID_ARGUMENT: pod_cidr: "{text}" is not an address range…')
      for text in ("x", "10.0.0.0", "10.0.0.0/33", "010.0.0.0/8", "fd00::/129", "10.0.0.0/08", "10.0.0.0/+8")),
    ("ImageService/ListImages", {"filter": {"image": {"image": "busybox"}}}),
    ("ImageService/ImageStatus", {"image": {"image": "busybox"}, "verbose": True}),
    ("ImageService/ImageStatus", {"image": {"image": "sha256:" + 64 * "0"}}),
    ("ImageService/ImageStatus", {"image": {"image": "no name ::"}}),
)


def plain(answer):
    """Without the clock, and where the daemons' folders are."""
    answer = re.sub(r"timestamp: \d+", "timestamp: N", answer)
    return re.sub(r'mountpoint: "[^"]*/', 'mountpoint: "', answer)


class Cri(SideBySide):
    def setUp(self):
        super().setUp()
        self.channels = {}
        for daemon in self.daemons:
            self.channels[daemon] = Raw(daemon.address)
            self.addCleanup(self.channels[daemon].close)
        self.wait_for(self.theirs)

    def wait_for(self, daemon):
        """containerd takes calls before its CRI does."""
        end = time.monotonic() + 30
        while self.channels[daemon].call("ImageService/ListImages", {}, namespace=None).startswith("UNAVAILABLE"):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def compare_calls(self, name, request, why=None, wanted=None):
        ours, theirs = self.both(lambda daemon: plain(self.channels[daemon].call(name, request, namespace=None)))
        with self.subTest(name, request=request):
            if why is None:
                self.assertEqual(theirs, ours)
                return
            if wanted.endswith("…"):
                self.assertEqual(wanted[:-1], ours[:len(wanted) - 1], why)
            else:
                self.assertEqual(wanted, ours, why)
            self.assertNotEqual(theirs, ours, f"this does not differ any more: {why}")

    def test_every_method_with_an_empty_request(self):
        left = set(DIFFERENCES)
        for service in ("RuntimeService", "ImageService"):
            for each in protos.cri.DESCRIPTOR.services_by_name[service].methods:
                name = f"{service}/{each.name}"
                left.discard(name)
                if name != ENDLESS:
                    self.compare_calls(name, {}, *DIFFERENCES.get(name, ()))
        self.assertEqual(set(), left, "no methods")

    def test_requests(self):
        for name, request, *differs in REQUESTS:
            self.compare_calls(name, request, *differs)

    def test_the_settings_of_the_same_names_have_the_same_values(self):
        """containerd 1.6 has the settings of all three plugins in one; what 2 changed is listed."""
        ours, theirs = self.both(self.config)
        changed = {"enableUnprivilegedPorts": True, "enableUnprivilegedICMP": True, "statsCollectPeriod": "1s"}
        for key in sorted(set(ours) & set(theirs) - {"containerd", "cni", "containerdRootDir", "rootDir", "stateDir"}):
            with self.subTest(key):
                self.assertEqual(changed.get(key, theirs[key]), ours[key])
        runtimes = [each["containerd"]["runtimes"]["runc"] for each in (ours, theirs)]
        for key in sorted(set(runtimes[0]) & set(runtimes[1]) - {"options"}):
            with self.subTest("runc", key=key):
                self.assertEqual([] if runtimes[1][key] is None else runtimes[1][key], runtimes[0][key])
        options = [each["options"] for each in runtimes]
        # Both are gone in containerd 2.
        self.assertEqual({"CriuPath", "NoPivotRoot"}, set(options[1]) - set(options[0]))
        self.assertEqual({key: options[1][key] for key in options[0]}, options[0])
        for key in sorted(set(ours["cni"]) & set(theirs["cni"]) - {"binDir", "ipPref"}):
            with self.subTest("cni", key=key):
                self.assertEqual(theirs["cni"][key], ours["cni"][key])

    def config(self, daemon):
        path, request_type, answer_type, _ = method("RuntimeService/Status")
        answer = self.channels[daemon].bytes(path, request_type(verbose=True).SerializeToString())
        return json.loads(answer_type.FromString(answer[0]).info["config"])


if __name__ == "__main__":
    unittest.main()
