# SPDX-License-Identifier: Apache-2.0
"""
Acknowledged writes survive the loss of power as well as a disk does what it promises.

A daemon's writes are recorded while clients write through it. Then the disk is made up as it may be found at many
moments: all that was synced, and of the rest any sectors. Not in this model: that a new file's name is on the disk
(files are there once they have been written), that a disk loses what it said it had written, and sectors half written.
"""

import copy
import os
import random
import shutil
import threading
import time
import unittest
from pathlib import Path

from daemon import Case
from durability import Writer
from lost_power import SYNC, WRITE_SYNC, Disk, File, read_events
from workshop import BUILD

RECORDER = BUILD / "tests" / "integration" / "disk_record.so"
MOMENTS = 60
WRITERS = 3
SECONDS = 0.6
SEED = os.environ.get("TEST_SEED") or str(random.randrange(1 << 32))


class Model(unittest.TestCase):
    """The disk that is made up."""

    def setUp(self):
        self.file = File()
        self.file.write(500, b"a" * 100)

    def content(self, chance):
        return bytes(self.file.after(chance, random.Random(1)))

    def test_what_waits_may_be_there_or_not(self):
        self.assertEqual(b"", self.content(0))
        self.assertEqual(bytes(500) + b"a" * 100, self.content(1))
        found = {bytes(self.file.after(0.5, random.Random(seed))) for seed in range(50)}
        self.assertEqual({b"", bytes(500) + b"a" * 12, bytes(512) + b"a" * 88, bytes(500) + b"a" * 100}, found)

    def test_what_was_synced_is_there(self):
        self.file.sync()
        self.file.write(500, b"b" * 100)
        self.assertEqual(bytes(500) + b"a" * 100, self.content(0))

    def test_a_synced_write_takes_its_sectors_with_it_and_no_other(self):
        self.file.write_sync(510, b"MM")
        self.assertEqual(bytes(500) + b"a" * 10 + b"MM", self.content(0))

    def test_a_truncation_waits_too(self):
        self.file.sync()
        self.file.truncate(10)
        self.assertEqual(600, len(self.content(0)))
        self.assertEqual(10, len(self.content(1)))


class LostPower(Case):
    def setUp(self):
        super().setUp()
        print(f"TEST_SEED={SEED}")
        self.random = random.Random(SEED)
        self.workshop.add_default_modules()
        self.writers = [Writer(f"writer{number}", self.workshop.top, SEED) for number in range(WRITERS)]
        for writer in self.writers:
            self.addCleanup(writer.record.close)

    def record(self):
        """Lets the writers write for a while; what the disk was told meanwhile."""
        file = self.workshop.top / "record"
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        daemon = self.start(LD_PRELOAD=RECORDER, RECORD_FILE=file, RECORD_FOLDER=self.workshop.root, ASAN_OPTIONS=sanitizer)
        stop = threading.Event()
        threads = [writer.start(daemon.address, stop) for writer in self.writers]
        time.sleep(SECONDS)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual([None] * WRITERS, [writer.error for writer in self.writers])
        self.assert_stops(daemon)
        return read_events(file)

    def moments(self, events):
        """Half of them beside a sync, where it is decided what counts."""
        syncs = [number for number, event in enumerate(events) if event.what in (SYNC, WRITE_SYNC)]
        self.assertGreater(len(syncs), 20, "the store does not sync in a way that is recorded")
        near = [self.random.choice(syncs) + self.random.choice((-1, 0, 1)) for _ in range(MOMENTS // 2)]
        anywhere = [self.random.randrange(len(events)) for _ in range(MOMENTS - len(near))]
        return sorted(min(max(number, 0), len(events) - 1) for number in near + anywhere)

    def check(self, disk, moment):
        """A daemon on what the disk holds has all that was acknowledged until then."""
        place = self.workshop.top / "found"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o700)
        disk.leave(lambda path: place / Path(path).relative_to(self.workshop.root), self.random.choice((0, 0.5, 0.9, 1)), self.random)
        self.workshop.write_config(root=str(place))
        daemon = self.start()
        try:
            for writer in self.writers:
                writer.compare(daemon.address, moment)
        finally:
            self.assert_stops(daemon)

    def test_what_was_acknowledged_before_the_power_went_is_there(self):
        events = self.record()
        disk, done = Disk(), 0
        for number in self.moments(events):
            for event in events[done:number]:
                disk.happen(event)
            done = number
            with self.subTest(event=number, of=len(events)):
                self.check(self.interrupted(disk, events[number]), events[number].moment)
        print(f"{len(events)} events, {sum(writer.record.acknowledged() for writer in self.writers)} acknowledged writes")

    @staticmethod
    def interrupted(disk, event):
        found = copy.deepcopy(disk)
        found.interrupt(event)
        return found


if __name__ == "__main__":
    unittest.main()
