# SPDX-License-Identifier: Apache-2.0
"""A scratch folder that berthd trusts, and the means to build modules in it as a third party would."""

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(os.environ.get("BERTH_SOURCE", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("BERTH_BUILD", SOURCE / "build"))


def trusted_folder():
    """berthd loads nothing from below /tmp, so neither the checkout nor the build folder need do."""
    place = Path(os.environ.get("BERTH_SCRATCH") or Path.home() / ".cache" / "berth-test")
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    return place


PLUGIN = """
static enum berth_code init_{name}(const struct berth_host *host, void *prepared, void **ret_instance,
                                   struct berth_error *err)
{{
    (void)host, (void)prepared, (void)err;
    *ret_instance = (void *)&init_{name};
    {init}
    return BERTH_OK;
}}
{code}
static const struct berth_plugin {name} = {{
    .size = sizeof({name}), .type = "{type}", .id = "{id}", .init = init_{name}, {members}
}};
"""


class Plugin:
    """One plugin of a module under test: its lines of the manifest and its pieces of C."""

    def __init__(self, type, id, *, requires=(), wants=(), init="", code="", members="", yaml=""):
        self.type, self.id = type, id
        self.requires, self.wants = list(requires), list(wants)
        self.init, self.code, self.members, self.yaml = init, code, members, yaml

    def manifest(self):
        lines = [f"  - type: {self.type}", f"    id: {self.id}"]
        if self.requires:
            lines.append(f"    requires: {json.dumps(self.requires)}")
        if self.wants:
            lines.append(f"    wants: {json.dumps(self.wants)}")
        return lines + ["    " + line for line in self.yaml.splitlines()]

    def source(self, name):
        return PLUGIN.format(name=name, type=self.type, id=self.id, init=self.init, code=self.code,
                             members=self.members)


class Workshop:
    """Folders for one test: modules, root, configuration; and a short one for sockets."""

    def __init__(self):
        self.top = Path(tempfile.mkdtemp(prefix="t-", dir=trusted_folder())).resolve()
        self.short = Path(tempfile.mkdtemp(prefix="b-", dir="/tmp"))
        self.plugins = self.top / "plugins"
        self.root = self.top / "root"
        self.state = self.short / "state"
        # Sources, and modules until they are complete: berthd may be watching the folders of the configuration and of plugins.
        self.bench = self.top / "bench"
        self.plugins.mkdir(mode=0o755)
        self.bench.mkdir(mode=0o755)
        self.config = None
        self.public = None

    def for_everybody(self, program):
        """A copy of a program and its libraries that any user can run; the checkout may lie where others cannot look."""
        if self.public is None:
            self.public = Path(tempfile.mkdtemp(prefix="b-public-", dir="/tmp"))
            self.public.chmod(0o755)
        listing = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
        libraries = re.findall(rf"=> ({re.escape(str(BUILD.resolve()))}/\S+)", listing)
        for path in (program, *libraries):
            shutil.copy(path, self.public)
            (self.public / Path(path).name).chmod(0o755)
        return ["env", f"LD_LIBRARY_PATH={self.public}", str(self.public / Path(program).name)]

    def open_to_others(self):
        """Lets any user reach the modules. Returns False where a folder above them, which is not the test's, is private."""
        for folder in [self.top, *self.top.parents]:
            if folder.stat().st_mode & 0o001 == 0 and folder.is_relative_to(self.top.parent):
                folder.chmod(0o711)
        if any(folder.stat().st_mode & 0o001 == 0 for folder in self.plugins.parents):
            return False
        self.short.chmod(0o711)
        return True

    def remove(self):
        if self.public is not None:
            shutil.rmtree(self.public, ignore_errors=True)
        subprocess.run(["chmod", "-R", "u+rwX", str(self.top)], check=False)
        shutil.rmtree(self.top, ignore_errors=True)
        shutil.rmtree(self.short, ignore_errors=True)

    def add_default_modules(self, *names):
        """Copies the project's own modules; all of them where none is named."""
        for module in sorted(BUILD.glob("plugins/*/*.so")):
            if not names or module.stem in names:
                shutil.copy(module, self.plugins)
                (self.plugins / module.name).chmod(0o755)

    def compile(self, name, source, *flags):
        """Compiles C text into plugins/NAME.so, where it appears at once, with nothing but the installed contract in sight."""
        path, built = (folder / f"{name}.so" for folder in (self.plugins, self.bench))
        text = self.bench / f"{name}.c"
        text.write_text(source, encoding="utf-8")
        command = [*shlex.split(os.environ.get("BERTH_TEST_CC", "cc")), "-shared", "-fPIC", "-O0", "-fvisibility=hidden",
                   "-D_GNU_SOURCE", "-Wl,-z,now", f"-I{SOURCE}/sdk/include", "-o", str(built), str(text), *flags]
        subprocess.run(command, check=True)
        built.chmod(0o755)
        return built.rename(path)

    def add(self, name, *plugins, code="", manifest="", flags=(), version="1.0.0"):
        """Builds a module of these plugins by hand, as the README says one can without any tool."""
        lines = [f"module: {name}", f"version: {version}", *manifest.splitlines(), "plugins:"]
        for plugin in plugins:
            lines += plugin.manifest()
        text = json.dumps("\n".join(lines) + "\n")
        names = [f"plugin_{i}" for i in range(len(plugins))]
        source = "\n".join([
            "#include <stdlib.h>", "#include <string.h>", "#include <unistd.h>", "#include <berth/plugin.h>",
            f"BERTH_NOTE({text});", code,
            *[plugin.source(each) for plugin, each in zip(plugins, names)],
            f"BERTH_MODULE({', '.join('&' + each for each in names)});", "",
        ])
        return self.compile(name, source, *flags)

    def certify(self, name="server"):
        """Makes NAME.pem, a certificate of localhost that is its own authority, and NAME.key: settings of a server."""
        certificate, key = self.top / f"{name}.pem", self.top / f"{name}.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key),
                        "-out", str(certificate)], check=True, capture_output=True)
        key.chmod(0o600)
        return {"tls_cert": str(certificate), "tls_key": str(key)}

    def write_config(self, text=None, **settings):
        """berthd.yaml of text as it is, or of settings (JSON is YAML) on top of the test's own folders."""
        self.config = self.top / "berthd.yaml"
        if text is None:
            base = {"version": 1, "root": str(self.root), "state": str(self.state),
                    "plugin_dirs": [str(self.plugins)]}
            text = json.dumps({**base, **settings}, indent=1)
        if isinstance(text, bytes):
            self.config.write_bytes(text)
        else:
            self.config.write_text(text, encoding="utf-8")
        return self.config
