# SPDX-License-Identifier: Apache-2.0
"""The store in a file, inside a daemon: disks that are full or read-only, files that are damaged, and kill -9."""

import os
import re
import resource
import shutil
import subprocess
import time
import unittest

import ask
import grpc
import protos
from daemon import PATIENCE, Case, run
from workshop import Plugin

STORE = "io.berth.store.v1.lmdb"
CONTAINERS = "/containerd.services.containers.v1.Containers/"
METADATA = [("containerd-namespace", "default")]

# Adds an entry of 32 KiB every 10 ms, and says how each ended.
SCRIBE = Plugin("io.example.scribe.v1", "scribe", requires=["io.berth.store.v1"], code=r"""
#include <berth/types/store.h>
struct scribe {
    struct berth_store_update update;
    const struct berth_host *host;
    struct berth_ref ref;
    const struct berth_store *store;
    uv_timer_t timer;
    bool waits, closes;
    unsigned number;
};
static enum berth_code write_entry(struct berth_store_update *update, struct berth_store_txn *txn,
                                   struct berth_error *err)
{
    static char value[32768];
    struct scribe *scribe = (struct scribe *)update;
    char key[16];
    snprintf(key, sizeof(key), "%08u", scribe->number);
    return scribe->store->put(txn, "scribe", berth_store_text(key),
                              (struct berth_store_bytes){value, sizeof(value)}, err);
}
static void on_closed(uv_handle_t *handle)
{
    struct scribe *scribe = handle->data;
    const struct berth_host *host = scribe->host;
    free(scribe);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}
static void on_written(struct berth_store_update *update, enum berth_code code, const char *message)
{
    struct scribe *scribe = (struct scribe *)update;
    scribe->waits = false;
    if (code == BERTH_OK)
        berth_log(scribe->host, BERTH_LOG_INFO, "wrote %u", scribe->number++);
    else
        berth_log(scribe->host, BERTH_LOG_WARN, "not written: %s: %s", berth_code_name(code), message);
    if (scribe->closes)
        uv_close((uv_handle_t *)&scribe->timer, on_closed);
}
static void on_time(uv_timer_t *timer)
{
    struct scribe *scribe = timer->data;
    if (scribe->waits || scribe->closes)
        return;
    scribe->waits = true;
    scribe->store->update(scribe->ref.instance, &scribe->update);
}
static unsigned count(struct scribe *scribe)
{
    struct berth_store_txn *txn;
    struct berth_store_entry entry = {{NULL, 0}, {NULL, 0}};
    struct berth_error err;
    unsigned number = 0;
    if (scribe->store->begin(scribe->ref.instance, &txn, &err) != BERTH_OK)
        return 0;
    while (scribe->store->next(txn, "scribe", entry.key, &entry, &err) == BERTH_OK)
        number++;
    scribe->store->end(txn);
    return number;
}
static enum berth_code start(const struct berth_host *host, void **ret_instance, struct berth_error *err)
{
    struct scribe *scribe = calloc(1, sizeof(*scribe));
    enum berth_code code = berth_get_single(host, "io.berth.store.v1", &scribe->ref, err);
    if (code != BERTH_OK) {
        free(scribe);
        return code;
    }
    scribe->host = host;
    scribe->store = scribe->ref.interface;
    scribe->update.change = write_entry;
    scribe->update.done = on_written;
    scribe->number = count(scribe);
    berth_log(host, BERTH_LOG_INFO, "found %u", scribe->number);
    uv_timer_init(host->loop, &scribe->timer);
    scribe->timer.data = scribe;
    uv_timer_start(&scribe->timer, on_time, 10, 10);
    *ret_instance = scribe;
    return BERTH_OK;
}
static enum berth_code stop(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct scribe *scribe = instance;
    (void)host, (void)err;
    scribe->closes = true;
    if (!scribe->waits)
        uv_close((uv_handle_t *)&scribe->timer, on_closed);
    return BERTH_PENDING;
}
""", init="return start(host, ret_instance, err);", members=".close = stop,")


class StoreCase(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules("store-lmdb", "servers", "introspection")
        self.file = self.workshop.root / STORE / "berth.mdb"

    def add_scribe(self):
        # A plugin's init stands before its code.
        forward = ("static enum berth_code start(const struct berth_host *host, void **ret_instance, "
                   "struct berth_error *err);")
        self.workshop.add("scribe", SCRIBE, code=forward)

    def assert_fails_alone(self, daemon, *texts):
        """The store says why it cannot be had; the daemon and ctr go on."""
        self.assert_line(daemon.log, STORE, *texts)
        if shutil.which("ctr") is not None:
            done = run("ctr", "--address", daemon.address, "plugins", "ls", "-d", "id==lmdb")
            self.assertEqual(0, done.returncode, done.stderr)
            shown = " ".join(done.stdout.split())
            for text in texts:
                self.assertIn(text, shown)
        listed = daemon.ctl("plugins", "ls", "--all")
        self.assertEqual(0, listed.returncode, listed.stderr)
        self.assertRegex(listed.stdout, r"lmdb .*failed")
        self.assert_stops(daemon)

    def wait_for_count(self, daemon, pattern, count):
        end = time.monotonic() + PATIENCE
        while len(re.findall(pattern, daemon.log)) < count:
            self.assertLess(time.monotonic(), end, daemon.log)
            time.sleep(0.05)

    def wait_for_listing(self, daemon, wanted):
        """Until berthctl calls the store degraded, or does not."""
        end = time.monotonic() + PATIENCE
        while True:
            line = next(each for each in daemon.ctl("plugins", "ls", "--all").stdout.splitlines() if "lmdb" in each)
            if ("degraded" in line) == wanted:
                return
            self.assertLess(time.monotonic(), end, line)
            time.sleep(0.05)


class Files(StoreCase):
    def put_file(self, content):
        self.file.parent.mkdir(parents=True, mode=0o700)
        self.file.write_bytes(content)

    def test_garbage_is_refused_and_left_as_it_is(self):
        content = os.urandom(40000)
        self.put_file(content)
        self.assert_fails_alone(self.start(), "page 0 does not begin like an LMDB file", str(self.file))
        self.assertEqual(content, self.file.read_bytes())

    def test_a_damaged_store_is_refused_and_left_as_it_is(self):
        self.add_scribe()
        daemon = self.start()
        self.wait_for_count(daemon, "wrote ", 5)
        self.assert_stops(daemon)
        content = bytearray(self.file.read_bytes())
        for at in range(8192, len(content), 4096):
            content[at + 12] ^= 0xff
        self.file.write_bytes(content)
        (self.workshop.plugins / "scribe.so").unlink()
        self.assert_fails_alone(self.start(), "is damaged: page", str(self.file))
        self.assertEqual(bytes(content), self.file.read_bytes())

    def test_the_exports_tell_of_the_file(self):
        daemon = self.start()
        text = daemon.ctl("plugins", "inspect", STORE).stdout
        for wanted in (str(self.file), "schema", "size"):
            self.assertIn(wanted, text)
        self.assertEqual(0o600, self.file.stat().st_mode & 0o7777)
        self.assert_stops(daemon)

    @unittest.skipIf(shutil.which("mdb_copy") is None, "mdb_copy is not installed (Debian's package lmdb-utils)")
    def test_a_copy_taken_while_it_runs_is_a_store(self):
        self.add_scribe()
        daemon = self.start()
        self.wait_for_count(daemon, "wrote ", 20)
        copy = self.workshop.top / "copy.mdb"
        done = run("mdb_copy", "-n", self.file, copy)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assert_stops(daemon)
        shutil.copy(copy, self.file)
        daemon = self.start()
        self.assertGreaterEqual(int(re.search(r"found (\d+)", daemon.log).group(1)), 20)
        self.assert_stops(daemon)

    def test_what_was_written_survives_kill_9(self):
        self.add_scribe()
        daemon = self.start()
        self.wait_for_count(daemon, "wrote ", 20)
        daemon.process.kill()
        daemon.process.wait()
        written = len(re.findall("wrote ", daemon.log))
        daemon.notify.close()
        daemon = self.start()
        found = int(re.search(r"found (\d+)", daemon.log).group(1))
        self.assertIn(found, (written, written + 1))
        self.assert_stops(daemon)


class Entries(StoreCase):
    """One entry is damaged while no daemon has the file open."""

    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()

    def call(self, method, request, answer_type=protos.containers.ListContainersResponse):
        return ask.unary(self.daemon.address, CONTAINERS + method, request, answer_type, timeout=PATIENCE, metadata=METADATA)

    def create(self, id):
        container = protos.containers.Container(id=id, image=f"image of {id}", runtime={"name": "runc"}, spec={"type_url": "t"})
        self.call("Create", protos.containers.CreateContainerRequest(container=container),
                  protos.containers.CreateContainerResponse)

    def damage(self, text):
        content = self.file.read_bytes()
        self.assertIn(text, content)
        self.file.write_bytes(content.replace(text, text[:-1] + b"?"))

    def assert_fails(self, function, *texts):
        with self.assertRaises(grpc.RpcError) as caught:
            function()
        self.assertEqual(grpc.StatusCode.DATA_LOSS, caught.exception.code(), caught.exception)
        for text in texts:
            self.assertIn(text, caught.exception.details())

    def listed(self):
        reply = self.call("List", protos.containers.ListContainersRequest())
        return [container.id for container in reply.containers]

    def streamed(self, ids):
        with ask.channel(self.daemon.address) as channel:
            call = channel.unary_stream(CONTAINERS + "ListStream",
                                        request_serializer=protos.containers.ListContainersRequest.SerializeToString,
                                        response_deserializer=protos.containers.ListContainerMessage.FromString)
            for message in call(protos.containers.ListContainersRequest(), timeout=PATIENCE, metadata=METADATA):
                ids.append(message.container.id)

    def test_it_is_found_named_and_can_be_removed(self):
        self.daemon = self.start()
        for id in ("one", "two", "three"):
            self.create(id)
        self.wait_for_listing(self.daemon, False)
        self.assert_stops(self.daemon)
        self.damage(b"image of two")
        self.daemon = self.start()
        where = 'bucket containers/default, key "two"'
        self.wait_for_listing(self.daemon, True)
        self.assert_line(self.daemon.log, "degraded", "1 damaged entry", where)
        self.assert_fails(self.listed, where)
        sent = []
        self.assert_fails(lambda: self.streamed(sent), where)
        self.assertEqual(["one", "three"], sent)
        self.call("Delete", protos.containers.DeleteContainerRequest(id="two"), protos.empty.Empty)
        self.assertEqual(["one", "three"], self.listed())
        self.wait_for_listing(self.daemon, False)
        self.assert_stops(self.daemon)
        self.assertEqual(1, self.daemon.log.count("1 damaged entry"), self.daemon.log)


class Limits(StoreCase):
    def test_a_file_size_limit_fails_the_changes_and_not_the_daemon(self):
        self.add_scribe()
        self.workshop.write_config()
        daemon = self.launch(preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))).wait_for()
        daemon.wait_for_log("not written: RESOURCE_EXHAUSTED")
        self.assert_line(daemon.log, "not written", "raise the daemon's file size limit")
        self.wait_for_listing(daemon, True)
        self.assert_stops(daemon)

    def test_a_store_of_its_largest_size_says_so(self):
        self.add_scribe()
        self.workshop.write_config(plugins={STORE: {"map_size": "1MiB", "max_size": "2MiB"}})
        daemon = self.start()
        daemon.wait_for_log("not written: RESOURCE_EXHAUSTED")
        self.assert_line(daemon.log, "not written", "max_size of 2097152 bytes", 'bucket scribe, key "')
        self.wait_for_listing(daemon, True)
        self.assert_stops(daemon)
        self.assertEqual(1, daemon.log.count("degraded"), daemon.log)

    def test_a_store_that_is_full_when_it_opens_is_degraded_before_anybody_writes(self):
        self.add_scribe()
        self.workshop.write_config(plugins={STORE: {"map_size": "1MiB", "max_size": "2MiB"}})
        daemon = self.start()
        daemon.wait_for_log("not written: RESOURCE_EXHAUSTED")
        self.assert_stops(daemon)
        (self.workshop.plugins / "scribe.so").unlink()
        daemon = self.start()
        self.wait_for_listing(daemon, True)
        self.assert_stops(daemon)


class Gone(StoreCase):
    """What becomes of the file behind the daemon's back."""

    def start_writing(self):
        self.add_scribe()
        daemon = self.start()
        self.wait_for_count(daemon, "wrote ", 3)
        return daemon

    def assert_refuses(self, daemon, code, *texts):
        # A change that was in flight may have been written where nobody finds it: UNKNOWN.
        daemon.wait_for_log(f"not written: {code}")
        self.assert_line(daemon.log, f"not written: {code}", *texts)
        self.wait_for_listing(daemon, True)
        written = len(re.findall("wrote ", daemon.log))
        self.wait_for_count(daemon, "not written", 20)
        self.assertEqual(written, len(re.findall("wrote ", daemon.log)), daemon.log)

    def test_nothing_is_acknowledged_after_the_root_is_deleted(self):
        daemon = self.start_writing()
        shutil.rmtree(self.workshop.root)
        self.assert_refuses(daemon, "DATA_LOSS", "was deleted while it was open", str(self.file))
        self.assert_stops(daemon)

    def test_nothing_is_acknowledged_while_the_root_is_moved_away(self):
        daemon = self.start_writing()
        aside = self.workshop.root.with_name("aside")
        self.workshop.root.rename(aside)
        self.assert_refuses(daemon, "UNAVAILABLE", "was moved away or replaced", str(self.file),
                            f"run `berthctl plugins restart {STORE}` to use what is there")
        written = len(re.findall("wrote ", daemon.log))
        aside.rename(self.workshop.root)
        self.wait_for_count(daemon, "wrote ", written + 3)
        self.wait_for_listing(daemon, False)
        self.assert_stops(daemon)

    def test_nothing_is_acknowledged_after_the_file_is_replaced(self):
        daemon = self.start_writing()
        copy = self.file.with_name("copy")
        shutil.copy(self.file, copy)
        copy.rename(self.file)
        self.assert_refuses(daemon, "DATA_LOSS", "was deleted while it was open", str(self.file),
                            f"then run `berthctl plugins restart {STORE}`")
        # As the message says: what is open is rescued, and the store uses it.
        number, = re.findall(r"by cp /proc/\d+/fd/(\d+) to there", daemon.log)[-1:]
        shutil.copy(f"/proc/{daemon.pid}/fd/{number}", copy)
        copy.rename(self.file)
        written = len(re.findall("wrote ", daemon.log))
        done = daemon.ctl("plugins", "restart", STORE)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.wait_for_count(daemon, "wrote ", written + 3)
        self.wait_for_listing(daemon, False)
        self.assert_stops(daemon)


@unittest.skipIf(os.geteuid() != 0, "needs to mount a small file system")
class SmallDisk(StoreCase):
    def setUp(self):
        super().setUp()
        # The store's folder alone: the daemon itself does not start on a root where it cannot write.
        self.folder = self.file.parent
        self.folder.mkdir(parents=True, mode=0o700)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "berth-test", str(self.folder)],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.skipTest(f"cannot mount: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", str(self.folder)], check=False)

    def fill(self):
        ballast = self.folder / "ballast"
        with open(ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        return ballast

    def test_a_full_disk_degrades_the_store_until_there_is_room(self):
        self.add_scribe()
        daemon = self.start()
        self.wait_for_count(daemon, "wrote ", 3)
        ballast = self.fill()
        daemon.wait_for_log("not written: RESOURCE_EXHAUSTED")
        self.assert_line(daemon.log, "not written", "No space left on device", str(self.file))
        self.wait_for_listing(daemon, True)
        written = len(re.findall("wrote ", daemon.log))
        ballast.unlink()
        self.wait_for_count(daemon, "wrote ", written + 3)
        self.wait_for_listing(daemon, False)
        self.assert_stops(daemon)

    def test_a_store_on_a_full_disk_opens(self):
        self.add_scribe()
        daemon = self.start()
        self.wait_for_count(daemon, "wrote ", 3)
        self.assert_stops(daemon)
        self.fill()
        daemon = self.start()
        self.assert_line(daemon.log, "found ")
        daemon.wait_for_log("not written: RESOURCE_EXHAUSTED")
        self.assert_stops(daemon)

    def test_a_full_disk_has_no_room_for_a_new_store(self):
        self.fill()
        self.assert_fails_alone(self.start(), "No space left on device")

    def test_a_read_only_disk_is_said(self):
        self.assert_stops(self.start())
        subprocess.run(["mount", "-o", "remount,ro", str(self.folder)], check=True)
        self.assert_fails_alone(self.start(), "Read-only file system")


if __name__ == "__main__":
    unittest.main()
