# SPDX-License-Identifier: Apache-2.0
"""A disk that loses power: what was synced stays, and of the rest any sectors may or may not have been written."""

import collections
import struct

SECTOR = 512
WRITE, WRITE_SYNC, SYNC, TRUNCATE, RENAME = 1, 2, 3, 4, 5
HEAD = struct.Struct("=5Q")

Event = collections.namedtuple("Event", "moment what path offset data")


def read_events(file):
    """What disk_record.so has written down; a record that the end of the daemon cut short is none."""
    content, at, events = file.read_bytes(), 0, []
    while at + HEAD.size <= len(content):
        moment, what, offset, path_length, length = HEAD.unpack_from(content, at)
        at += HEAD.size
        path = content[at:at + path_length].decode()
        data = content[at + path_length:at + path_length + length]
        at += path_length + length
        if at <= len(content):
            events.append(Event(moment, what, path, offset, data))
    return events


class File:
    """One file: what the disk has for certain, and what waits to be written, in order, sector by sector."""

    def __init__(self):
        self.certain = bytearray()
        self.waiting = []

    def write(self, offset, data):
        end = offset + len(data)
        while offset < end:
            part = min(end, (offset // SECTOR + 1) * SECTOR) - offset
            self.waiting.append((offset, data[:part]))
            offset, data = offset + part, data[part:]

    @staticmethod
    def put(content, offset, data):
        content.extend(bytes(max(0, offset + len(data) - len(content))))
        content[offset:offset + len(data)] = data

    def truncate(self, length):
        self.waiting.append((length, None))

    def apply(self, content, pieces):
        for offset, data in pieces:
            if data is not None:
                self.put(content, offset, data)
            else:
                content.extend(bytes(max(0, offset - len(content))))
                del content[offset:]

    def sync(self):
        self.apply(self.certain, self.waiting)
        self.waiting.clear()

    def write_sync(self, offset, data):
        """Its sectors go to the disk with all that was in them."""
        first, last = offset // SECTOR, (offset + len(data) - 1) // SECTOR
        with_it = [piece for piece in self.waiting if piece[1] is not None and first <= piece[0] // SECTOR <= last]
        self.waiting = [piece for piece in self.waiting if piece not in with_it]
        self.apply(self.certain, with_it)
        self.put(self.certain, offset, data)

    def after(self, chance, random):
        """What a disk may hold that has written each waiting piece with this chance."""
        content = bytearray(self.certain)
        self.apply(content, [piece for piece in self.waiting if random.random() < chance])
        return content


class Disk:
    def __init__(self):
        self.files = {}

    def happen(self, event):
        file = self.files.setdefault(event.path, File())
        if event.what == RENAME:
            self.files[event.data.decode()] = self.files.pop(event.path)
        elif event.what == SYNC:
            file.sync()
        elif event.what == TRUNCATE:
            file.truncate(event.offset)
        elif event.what == WRITE_SYNC:
            file.write_sync(event.offset, event.data)
        else:
            file.write(event.offset, event.data)

    def interrupt(self, event):
        """The last that was begun: not synced, whatever it was."""
        if event.what in (WRITE, WRITE_SYNC):
            self.files.setdefault(event.path, File()).write(event.offset, event.data)

    def leave(self, place, chance, random):
        """Writes the files as they would be found, their folders too."""
        for path, file in self.files.items():
            target = place(path)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            target.write_bytes(file.after(chance, random))
