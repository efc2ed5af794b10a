# SPDX-License-Identifier: Apache-2.0
"""The containers that are created and asked for, as a client sends them."""

import json
import subprocess

import protos

CONTAINERS = "/containerd.services.containers.v1.Containers/"
# Eight of these are where load_client writes a call's number.
NUMBER = "########"
SPEC_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Spec"
# As many names as the seccomp profile of a usual container has, which is most of a usual spec.
SYSCALLS = 380


def usual_spec():
    """What ctr writes for a container, with a seccomp profile beside it."""
    spec = json.loads(subprocess.run(["ctr", "oci", "spec"], capture_output=True, check=True).stdout)
    spec["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [{"names": [f"system_call_{number}" for number in range(SYSCALLS)], "action": "SCMP_ACT_ALLOW"}]}
    return json.dumps(spec, separators=(",", ":")).encode()


def small_spec():
    """10,000 of these fit into one reply of 16 MiB, which is what containerd's List may have."""
    return json.dumps({"ociVersion": "1.0.2", "process": {"args": ["sleep", "infinity"], "env": ["A=" + "b" * 900], "cwd": "/"},
                       "root": {"path": "rootfs"}}, separators=(",", ":")).encode()


def create(spec):
    message = protos.containers.CreateContainerRequest()
    container = message.container
    container.id = f"c{NUMBER}"
    container.labels.update({"io.example/owner": "bench", "io.example/tier": "front"})
    container.image = "docker.io/library/debian:bookworm"
    container.runtime.name = "io.containerd.runc.v2"
    container.spec.type_url, container.spec.value = SPEC_TYPE, spec
    return message.SerializeToString()


def get(number=NUMBER):
    return protos.containers.GetContainerRequest(id=f"c{number}").SerializeToString()
