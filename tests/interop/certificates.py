# SPDX-License-Identifier: Apache-2.0
"""Certificates for one run: an authority, a server at 127.0.0.1 that it signed, and a client."""

import subprocess

NAMES = {
    "server": ("/CN=server", "DNS:localhost,IP:127.0.0.1"),
    "client": ("/CN=client/O=berth interop", "URI:spiffe://interop.example/client"),
}


def _openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def _key(name):
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"]


def make(folder):
    """Writes ca.pem, and NAME.pem with NAME.key for the server and the client."""
    _openssl(folder, "req", "-x509", *_key("ca"), "-out", "ca.pem", "-days", "2", "-subj", "/CN=interop authority")
    for name, (subject, alternatives) in NAMES.items():
        _openssl(folder, "req", "-x509", *_key(name), "-out", f"{name}.pem", "-days", "2", "-subj", subject,
                 "-CA", "ca.pem", "-CAkey", "ca.key", "-addext", f"subjectAltName={alternatives}",
                 "-addext", "basicConstraints=critical,CA:FALSE")
