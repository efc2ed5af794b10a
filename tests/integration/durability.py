# SPDX-License-Identifier: Apache-2.0
"""Writers that write down what was acknowledged to them, and the comparison with what a daemon then has."""

import json
import random
import threading
import time

import grpc

import protos

PATH = "/containerd.services.containers.v1.Containers/"
IDS = 24
# A spec below a page, over some, and over many.
SPEC_BYTES = (100, 3000, 5000, 40000)
DELETED = 0
# Channels of one process share connections, and their waiting after a failure, unless told not to.
OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]


def spec(name, version):
    """The same bytes for the same version, and other ones all over for any other."""
    source = random.Random(f"{name} {version}")
    length = source.choice(SPEC_BYTES)
    return json.dumps({"version": version, "noise": source.randbytes(length // 2).hex()}).encode()


def container(name, version):
    message = protos.containers.Container(id=name, image=f"example/{version}", labels={"version": str(version)})
    message.runtime.name = "io.containerd.runc.v2"
    message.spec.type_url, message.spec.value = "example/spec", spec(name, version)
    return message


def version_of(found):
    """A version whose every part is of that version; an exception names the part that is not."""
    version = int(found.labels["version"])
    for part, value in (("image", found.image == f"example/{version}"), ("labels", len(found.labels) == 1),
                        ("spec", found.spec.value == spec(found.id, version))):
        if not value:
            raise AssertionError(f"{found.id}: a label of version {version}, but {part} is of another:\n{str(found)[:600]}")
    return version


class Connection:
    def __init__(self, address, namespace):
        self.channel = grpc.insecure_channel(f"unix:{address}", options=OPTIONS)
        self.metadata = [("containerd-namespace", namespace)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def call(self, method, request, answer, timeout=30):
        call = self.channel.unary_unary(PATH + method, request_serializer=type(request).SerializeToString,
                                        response_deserializer=answer.FromString)
        return call(request, metadata=self.metadata, timeout=timeout)

    def list(self):
        call = self.channel.unary_stream(
            PATH + "ListStream", request_serializer=protos.containers.ListContainersRequest.SerializeToString,
            response_deserializer=protos.containers.ListContainerMessage.FromString)
        request = protos.containers.ListContainersRequest()
        return {message.container.id: version_of(message.container)
                for message in call(request, metadata=self.metadata, timeout=60, wait_for_ready=True)}

    def write(self, name, version, before):
        """From one version to the next; DELETED is one too."""
        types = protos.containers
        if version == DELETED:
            self.call("Delete", types.DeleteContainerRequest(id=name), protos.empty.Empty)
        elif before == DELETED:
            self.call("Create", types.CreateContainerRequest(container=container(name, version)), types.CreateContainerResponse)
        else:
            self.call("Update", types.UpdateContainerRequest(container=container(name, version)), types.UpdateContainerResponse)


class Record:
    """The file in which one writer writes down, in order and with the time, what it begins and what was acknowledged."""

    def __init__(self, path):
        self.path = path
        self.file = open(path, "a+", encoding="utf-8", buffering=1)

    def add(self, what, name, version):
        self.file.write(f"{time.monotonic_ns()} {what} {name} {version}\n")

    def close(self):
        self.file.close()

    def allowed(self, until=None):
        """By name the versions that may be there: the last acknowledged one, and what was begun and not answered."""
        found = {}
        for line in self.path.read_text(encoding="utf-8").splitlines():
            moment, what, name, version = line.split()
            if until is not None and int(moment) > until:
                break
            if what == "begin":
                found.setdefault(name, {DELETED}).add(int(version))
            else:
                found[name] = {int(version)}
        return found

    def acknowledged(self):
        return sum(" done " in line for line in self.path.read_text(encoding="utf-8").splitlines())


class Writer:
    """One connection that creates, updates and deletes containers of its own, until a call fails or `stop` is set."""

    def __init__(self, namespace, folder, seed):
        self.namespace = namespace
        self.record = Record(folder / namespace)
        self.random = random.Random(f"{seed} {namespace}")
        self.known = {f"c{number}": DELETED for number in range(IDS)}
        self.last_version = 0
        self.error = None

    def compare(self, address, until=None):
        """Raises where something acknowledged is not there, or something that nobody wrote; keeps what there is."""
        with Connection(address, self.namespace) as connection:
            found = connection.list()
        allowed = self.record.allowed(until)
        for name in self.known | found:
            version = found.get(name, DELETED)
            if version not in allowed.get(name, {DELETED}):
                raise AssertionError(f"{self.namespace}: {name} has version {version}; it may have {allowed.get(name)}")
        return found

    def settle(self, found):
        """Goes on from what is there: what was not answered has been decided by now."""
        allowed = self.record.allowed()
        for name in self.known:
            version = found.get(name, DELETED)
            if allowed.get(name, {version}) != {version}:
                self.record.add("done", name, version)
            self.known[name] = version

    def next_version(self, name):
        if self.known[name] != DELETED and self.random.random() < 0.3:
            return DELETED
        self.last_version += 1
        return self.last_version

    def write(self, connection):
        name = self.random.choice(list(self.known))
        version = self.next_version(name)
        self.record.add("begin", name, version)
        connection.write(name, version, self.known[name])
        self.record.add("done", name, version)
        self.known[name] = version

    def run(self, address, stop):
        with Connection(address, self.namespace) as connection:
            try:
                while not stop.is_set():
                    self.write(connection)
            except grpc.RpcError as error:
                self.error = error

    def start(self, address, stop):
        self.error = None
        thread = threading.Thread(target=self.run, args=(address, stop), daemon=True)
        thread.start()
        return thread
