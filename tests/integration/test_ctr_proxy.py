# SPDX-License-Identifier: Apache-2.0
"""Debian's unmodified ctr on berthd, with the services of a real containerd behind it; namespaces and events are berthd's."""

import json
import shutil
import subprocess
import unittest

import peers
from daemon import Case, run

NAME = "io.berth.proxy.v1.containerd"
SERVICES = [f"containerd.services.{name}" for name in (
    "containers.v1.Containers", "content.v1.Content", "diff.v1.Diff", "images.v1.Images", "leases.v1.Leases",
    "snapshots.v1.Snapshots", "tasks.v1.Tasks")]
# Soon after its start containerd would remove what no image and no lease refers to, such as content just taken in.
UNCOLLECTED = '[plugins."io.containerd.gc.v1.scheduler"]\n  startup_delay = "1h"\n'
PROGRAM = '#include <stdio.h>\nint main(void) { puts("hello from inside"); return 7; }\n'


@unittest.skipIf(len(peers.kinds()) < 2 or shutil.which("ctr") is None, "containerd is not installed, or we are not root")
class CtrThroughBerthd(Case):
    def setUp(self):
        super().setUp()
        self.containerd = peers.Containerd()
        with open(self.containerd.workshop.top / "config.toml", "a", encoding="utf-8") as config:
            config.write(UNCOLLECTED)
        self.addCleanup(self.containerd.remove)
        self.addCleanup(self.containerd.stop)
        self.containerd.start()
        self.containerd.wait_for_socket()
        self.workshop.add_default_modules()
        self.workshop.write_config(
            proxy_plugins={"containerd": {"address": self.containerd.address, "services": SERVICES}},
            services={service: NAME for service in SERVICES if "containers.v1" in service or "leases" in service})
        self.daemon = self.start()

    def ctr(self, *arguments, code=0, address=None, stdin=None):
        done = subprocess.run(["ctr", "--address", address or self.daemon.address, *arguments], capture_output=True, text=True,
                              timeout=120, check=False, input=stdin)
        self.assertEqual(code, done.returncode, f"ctr {arguments}: {done.stdout}{done.stderr}\n{self.daemon.log}")
        return done.stdout

    def test_lists_are_those_of_containerd_and_of_berthd(self):
        for command in ("images", "content", "snapshots", "containers", "tasks", "leases"):
            with self.subTest(command):
                self.assertEqual(self.ctr(command, "ls", address=self.containerd.address), self.ctr(command, "ls"))
        self.assertIn("Server:", self.ctr("version"))
        self.ctr("namespaces", "create", "ours", "of=berthd")
        self.assertIn("ours", self.ctr("namespaces", "ls"))
        self.assertNotIn("ours", self.ctr("namespaces", "ls", address=self.containerd.address))
        self.assertRegex(self.ctr("plugins", "ls"), r"io.berth.proxy.v1 +containerd +- +ok")

    def test_content_and_snapshots_go_in_and_come_out(self):
        text = "content " * 200000
        digest = "sha256:" + subprocess.run(["sha256sum"], input=text, capture_output=True, text=True, check=True).stdout[:64]
        self.ctr("content", "ingest", "--expected-digest", digest, "one", stdin=text)
        self.assertEqual(text, self.ctr("content", "get", digest))
        self.assertIn(digest, self.ctr("content", "ls", "-q", address=self.containerd.address))
        self.ctr("snapshots", "--snapshotter", "native", "prepare", "active")
        self.ctr("snapshots", "--snapshotter", "native", "commit", "done", "active")
        self.assertRegex(self.ctr("snapshots", "--snapshotter", "native", "ls"), r"done +Committed")
        self.ctr("snapshots", "--snapshotter", "native", "rm", "nothing", code=1)

    def test_a_container_runs(self):
        rootfs = self.workshop.top / "rootfs"
        for folder in ("proc", "dev", "sys", "tmp", "etc"):
            (rootfs / folder).mkdir(parents=True)
        source = self.workshop.top / "hello.c"
        source.write_text(PROGRAM, encoding="utf-8")
        subprocess.run(["cc", "-static", "-o", str(rootfs / "hello"), str(source)], check=True)
        run_it = ["run", "--rm", "--rootfs", str(rootfs)]
        direct = subprocess.run(["ctr", "--address", self.containerd.address, *run_it, "direct", "/hello"], capture_output=True,
                                text=True, timeout=120, check=False)
        if direct.returncode != 7:
            self.skipTest(f"containerd itself runs no container here: {direct.stderr}")
        self.assertEqual("hello from inside\n", self.ctr(*run_it, "through", "/hello", code=7))
        self.assertNotIn("through", self.ctr("containers", "ls"))

    def test_a_containerd_that_dies_is_told_and_found_again(self):
        self.containerd.stop()
        done = subprocess.run(["ctr", "--address", self.daemon.address, "images", "ls"], capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual(1, done.returncode)
        self.assertIn(NAME, self.wait_for_refusal())
        self.ctr("namespaces", "ls")
        self.containerd.start()
        self.containerd.wait_for_socket()
        for _ in range(200):
            if run("ctr", "--address", self.daemon.address, "images", "ls").returncode == 0:
                break
        self.ctr("images", "ls")

    def wait_for_refusal(self):
        for _ in range(100):
            done = subprocess.run(["ctr", "--address", self.daemon.address, "images", "ls"], capture_output=True, text=True,
                                  timeout=60, check=False)
            if NAME in done.stderr:
                return done.stderr
        return done.stderr

    def test_import_of_an_image(self):
        folder = self.workshop.top / "image"
        blobs = folder / "blobs/sha256"
        blobs.mkdir(parents=True)

        def put(data):
            digest = subprocess.run(["sha256sum"], input=data, capture_output=True, check=True).stdout[:64].decode()
            (blobs / digest).write_bytes(data)
            return f"sha256:{digest}", len(data)

        layer = subprocess.run(["tar", "-C", str(self.workshop.top), "-c", "berthd.yaml"], capture_output=True, check=True).stdout
        layer_digest, layer_size = put(layer)
        config_digest, config_size = put(json.dumps({
            "architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [layer_digest]}}).encode())
        manifest_digest, manifest_size = put(json.dumps({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config_size},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer_digest,
                        "size": layer_size}]}).encode())
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")
        (folder / "index.json").write_text(json.dumps({
            "schemaVersion": 2, "manifests": [{
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": manifest_digest, "size": manifest_size,
                "platform": {"architecture": "amd64", "os": "linux"},
                "annotations": {"io.containerd.image.name": "example.com/one:latest"}}]}), encoding="utf-8")
        archive = self.workshop.top / "image.tar"
        subprocess.run(["tar", "-C", str(folder), "-cf", str(archive), "."], check=True)
        self.ctr("images", "import", "--snapshotter", "native", str(archive))
        self.assertIn("example.com/one:latest", self.ctr("images", "ls", "-q", address=self.containerd.address))
        self.assertIn("example.com/one:latest", self.ctr("images", "ls", "-q"))
        self.ctr("images", "rm", "example.com/one:latest")
        self.assertEqual("", self.ctr("images", "ls", "-q"))


if __name__ == "__main__":
    unittest.main()
