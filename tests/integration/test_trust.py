# SPDX-License-Identifier: Apache-2.0
"""Signatures and the lock file as an operator meets them, with Debian's minisign on the other side."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import unittest
from pathlib import Path

from daemon import BUILD, Case, environment, run
from workshop import Plugin

TYPE = "io.example.fixture.v1"
SDK = BUILD / "tools" / "berth-sdk" / "berth-sdk"
IS_PRELOADED = os.environ.get("BERTH_TEST_SANITIZE", "none") != "none"


def minisign(*arguments, password=None):
    """Asks for each password once, or twice for a new key."""
    return subprocess.run(["minisign", *map(str, arguments)], input=password, capture_output=True, text=True, check=False)


class Signed(Case):
    """A folder with a module to sign, and a key that the configuration trusts."""

    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules("servers", "introspection")
        self.keys = self.workshop.top / "trusted"
        self.keys.mkdir(mode=0o755)
        self.module = self.workshop.add("hello", Plugin(TYPE, "hello"))
        self.uri = f"{TYPE}.hello"
        self.secret = self.make_key("release")

    def make_key(self, name, folder=None):
        secret, public = self.workshop.top / f"{name}.key", (folder or self.keys) / f"{name}.pub"
        made = minisign("-G", "-W", "-p", public, "-s", secret)
        self.assertEqual(0, made.returncode, made.stderr)
        public.chmod(0o644)
        return secret

    def id_of(self, name="release"):
        """minisign leaves zeros in front out."""
        return (self.keys / f"{name}.pub").read_text().split()[5].zfill(16)

    def sign(self, *modules, key=None, comment=None, legacy=False):
        for module in modules or (self.module,):
            version = "1.0.0" if module.stem == "hello" else "0.1.0"
            text = comment if comment is not None else f"berth module={module.stem} version={version}"
            made = minisign("-S", *(["-l"] if legacy else []), "-s", key or self.secret, "-t", text, "-m", module)
            self.assertEqual(0, made.returncode, made.stderr)

    def sign_all(self):
        self.sign(*sorted(self.workshop.plugins.glob("*.so")))

    def configure(self, require="signature", **more):
        lock = {"lock": more.pop("lock")} if "lock" in more else {}
        return self.workshop.write_config(trust={"require": require, "keys": [str(self.keys / "*.pub")], **more}, **lock)

    def plan(self):
        done = self.berthd("plan", "--config", self.workshop.config, "--json")
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return json.loads(done.stdout)

    def reason(self, name="hello.so"):
        """Why the plan rejects a file."""
        for file in self.plan()["rejected_files"]:
            if file["path"].endswith("/" + name):
                return file["reason"]
        return None

    def assert_runs(self):
        plugin = {each["uri"]: each for each in self.plan()["plugins"]}[self.uri]
        self.assertEqual("run", plugin["verdict"], plugin)
        return plugin

    def assert_rejected(self, *texts, name="hello.so"):
        reason = self.reason(name)
        self.assertIsNotNone(reason, "it is not rejected")
        for text in texts:
            self.assertIn(text, reason)


@unittest.skipIf(shutil.which("minisign") is None, "needs minisign")
class Trust(Signed):
    def test_an_operator_installs_an_unsigned_module_and_reads_why_it_does_not_run(self):
        self.configure()
        self.sign_all()
        Path(f"{self.module}.minisig").unlink()
        daemon = self.start()
        found = self.plugins(daemon)
        self.assertEqual("rejected", found["hello.so"].state)
        self.assertIn("not signed, but trust.require is signature", found["hello.so"].reason)
        self.assertIn(f"there is no {self.module}.minisig", found["hello.so"].reason)
        self.assertRegex(found["hello.so"].reason, r"berthd\.yaml:\d+:\d+")
        self.assertIn("hello.so: not signed", daemon.log)
        table = daemon.ctl("plugins", "ls", "--all").stdout
        self.assertRegex(table, r"hello\.so .*rejected +- +.*not signed")
        self.assert_stops(daemon)

        # He asks whoever built it, and starts again.
        self.sign()
        daemon = self.start()
        self.assertEqual("ready", self.plugins(daemon)[self.uri].state)
        table = daemon.ctl("plugins", "ls", "--all").stdout
        self.assertRegex(table, rf"hello .*ready +{self.id_of()}")
        shown = daemon.ctl("plugins", "inspect", self.uri).stdout
        self.assertRegex(shown, rf"Signer: +{self.id_of()} \(berth module=hello version=1\.0\.0\)")
        told = json.loads(daemon.ctl("plugins", "inspect", "--json", self.uri).stdout)
        told = told[0] if isinstance(told, list) else told
        self.assertEqual((self.id_of(), True, "berth module=hello version=1.0.0"),
                         (told["signer"], told["signature_verified"], told["signer_comment"]))
        self.assert_stops(daemon)

    def test_minisigns_signatures_of_both_algorithms_are_verified(self):
        self.configure()
        for legacy in (False, True):
            self.sign(legacy=legacy)
            plugin = self.assert_runs()
            self.assertEqual((self.id_of(), True), (plugin["signer"], plugin["signature_verified"]))
            self.assertEqual("berth module=hello version=1.0.0", plugin["signer_comment"])

    def test_what_minisign_says_by_itself_is_enough(self):
        self.configure()
        made = minisign("-S", "-s", self.secret, "-m", self.module)
        self.assertEqual(0, made.returncode, made.stderr)
        self.assertIn("file:hello.so", self.assert_runs()["signer_comment"])

    def test_a_file_that_was_changed_is_rejected_whatever_is_required(self):
        self.sign()
        with open(self.module, "ab") as file:
            file.write(b"x")
        for require in ("none", "owner", "signature"):
            self.configure(require)
            self.assert_rejected("wrong signature by key", "the file was changed")

    def test_the_signature_of_another_file_is_rejected(self):
        self.configure("owner")
        other = self.workshop.add("other", Plugin(TYPE, "other"))
        self.sign(other)
        shutil.copy(f"{other}.minisig", f"{self.module}.minisig")
        self.assert_rejected("another file's")

    def test_a_key_that_nobody_trusts_is_named(self):
        stranger = self.make_key("stranger", self.workshop.top)
        self.sign(key=stranger)
        for require in ("owner", "signature"):
            self.configure(require)
            self.assert_rejected("which is not among trust.keys")
        # The operator rolls to the new key, beside the old one.
        shutil.copy(self.workshop.top / "stranger.pub", self.keys)
        self.assert_runs()

    def test_a_comment_of_another_module_or_version_is_rejected(self):
        self.configure()
        self.sign(comment="berth module=goodbye version=1.0.0")
        self.assert_rejected('signed it as module "goodbye", but its manifest has module "hello"')
        self.sign(comment="berth module=hello version=2.0.0")
        self.assert_rejected('signed it as version "2.0.0", but its manifest has version "1.0.0"')

    def test_an_older_version_is_rejected_though_it_is_signed(self):
        self.configure(minimum={"hello": "1.1.0"})
        self.sign()
        self.assert_rejected("module hello is version 1.0.0, below the minimum 1.1.0 of trust.minimum")
        self.configure(minimum={"hello": "1.0.0"})
        self.assert_runs()

    def test_revoked_keys_and_files_are_rejected(self):
        self.sign()
        self.configure("owner", revoked=[self.id_of()])
        self.assert_rejected(f"signed by key {self.id_of()}, which is revoked at ")
        self.configure("owner", revoked=[hashlib.sha256(self.module.read_bytes()).hexdigest()])
        self.assert_rejected("this file is revoked at ")

    def test_no_rollback_goes_back_to_what_may_not_run_any_more(self):
        lock = self.workshop.top / "berth.lock"
        old = hashlib.sha256(self.module.read_bytes()).hexdigest()
        # 1.0.0 is not signed, as may be at first.
        self.configure("owner")
        daemon = self.start()
        self.workshop.add("hello", Plugin(TYPE, "hello"), version="1.1.0")
        self.sign(*sorted(self.workshop.plugins.glob("*.so")), comment="")
        self.assertEqual(0, daemon.ctl("plugins", "upgrade", self.uri).returncode)
        self.assertEqual(0, self.berthd("plan", "--config", self.workshop.config, "--lock", str(lock)).returncode)
        for settings, reason in (({"require": "signature"}, "hello.so: not signed, but trust.require is signature"),
                                 ({"require": "owner", "revoked": [old]}, "hello.so: this file is revoked at "),
                                 ({"require": "owner", "lock": str(lock)}, "hello.so: differs from ")):
            with self.subTest(settings=settings):
                self.configure(**settings)
                self.assertEqual(0, daemon.ctl("reload").returncode, daemon.log)
                for options in ((), ("--keep",), ("--dry-run",)):
                    done = daemon.ctl("plugins", "rollback", *options, self.uri)
                    self.assertEqual(1, done.returncode, done.stdout)
                    self.assertIn("cannot roll back: ", done.stderr)
                    self.assertIn(reason, done.stderr)
                self.assertEqual("1.1.0", self.plugins(daemon)[self.uri].message.version)
        self.configure("owner")
        self.assertEqual(0, daemon.ctl("reload").returncode)
        self.assertEqual(0, daemon.ctl("plugins", "rollback", self.uri).returncode)
        self.assertEqual("1.0.0", self.plugins(daemon)[self.uri].message.version)
        self.assert_stops(daemon)

    def test_a_symlink_is_judged_by_the_file_it_leads_to(self):
        self.configure()
        target = self.module.rename(self.module.with_name("hello-1.0.0.bin"))
        self.module.symlink_to(target.name)
        self.sign(target, comment="")
        self.assert_runs()
        Path(f"{target}.minisig").rename(f"{self.module}.minisig")
        self.assert_rejected(f"there is no {target}.minisig", name="hello-1.0.0.bin")

    def test_a_malformed_signature_is_rejected_whatever_is_required(self):
        for require in ("none", "owner"):
            self.configure(require)
            Path(f"{self.module}.minisig").write_text("untrusted comment: hm\n")
            self.assert_rejected("its signature is malformed", "ends after line 1")

    def test_nothing_of_a_module_is_read_before_it_is_verified(self):
        """A file that is no module at all is unsigned first."""
        self.configure()
        (self.workshop.plugins / "nonsense.so").write_bytes(b"\x7fELF nonsense")
        self.assert_rejected("not signed", name="nonsense.so")

    def test_a_module_that_is_replaced_before_it_is_loaded_does_not_run(self):
        """The plan is made of the signed file; a constructor of another module replaces it before its turn."""
        self.workshop.compile("evil", """#include <stdio.h>
            __attribute__((constructor)) static void run(void) { fputs("evil code runs\\n", stderr); }""")
        evil = (self.workshop.plugins / "evil.so").rename(self.workshop.top / "evil.bin")
        self.workshop.add("aa-replacer", Plugin(TYPE, "aa"), code=f"""#include <stdio.h>
            __attribute__((constructor)) static void replace(void) {{ rename("{evil}", "{self.module}"); }}""")
        self.configure("owner")
        self.sign()
        self.assert_runs()
        daemon = self.start()
        found = self.plugins(daemon)[self.uri]
        self.assertEqual("failed", found.state)
        self.assertIn("was replaced since it was checked", found.reason)
        self.assertNotIn("evil code runs", daemon.log)
        self.assert_stops(daemon)

    def test_a_module_that_is_written_to_before_it_is_loaded_does_not_run(self):
        self.workshop.add("aa-writer", Plugin(TYPE, "aa"), code=f"""#include <stdio.h>
            __attribute__((constructor)) static void spoil(void)
            {{
                FILE *file = fopen("{self.module}", "r+e");
                fseek(file, -1, SEEK_END);
                fputc('x', file);
                fclose(file);
            }}""")
        self.configure("owner")
        self.sign()
        daemon = self.start()
        found = self.plugins(daemon)[self.uri]
        self.assertEqual("failed", found.state)
        self.assertIn("was changed since it was checked", found.reason)
        self.assert_stops(daemon)

    def test_a_library_that_a_signed_module_brings_along_has_to_be_signed(self):
        library = self.workshop.compile("libside", '__attribute__((visibility("default"))) int side(void) { return 1; }',
                                        "-Wl,-soname,libside.so", "-Wno-missing-prototypes")
        self.module = self.workshop.add("hello", Plugin(TYPE, "hello", init="side();"), code="int side(void);",
                                        flags=(f"-L{self.workshop.plugins}", "-lside", "-Wl,-rpath,$ORIGIN"))
        self.configure()
        self.sign()
        plugin = {each["uri"]: each for each in self.plan()["plugins"]}[self.uri]
        self.assertEqual("rejected", plugin["verdict"])
        self.assertIn("needs the library libside.so, which is not trusted", plugin["reason"])
        self.assertIn("not signed", plugin["reason"])
        self.sign(library, comment="")
        self.assert_runs()
        lock = self.workshop.top / "berth.lock"
        self.configure(lock=str(lock))
        self.lock()
        self.assertRegex(lock.read_text(), r"libraries:\n  - file: libside\.so\n    sha256: ")
        self.assert_runs()
        self.workshop.compile("libside", '__attribute__((visibility("default"))) int side(void) { return 2; }',
                              "-Wl,-soname,libside.so", "-Wno-missing-prototypes")
        self.sign(library, comment="")
        plugin = {each["uri"]: each for each in self.plan()["plugins"]}[self.uri]
        self.assertIn("which has this library as SHA-256", plugin["reason"])

    def test_a_library_that_is_replaced_before_it_is_loaded_does_not_run(self):
        source = """#include <stdio.h>
            __attribute__((constructor)) static void run(void) {{ fputs("library {0}\\n", stderr); }}
            __attribute__((visibility("default"))) int side(void) {{ return 1; }}"""
        flags = ("-Wl,-soname,libside.so", "-Wno-missing-prototypes")
        evil = self.workshop.compile("libside", source.format("evil"), *flags).rename(self.workshop.top / "evil.bin")
        library = self.workshop.compile("libside", source.format("good"), *flags)
        self.module = self.workshop.add("hello", Plugin(TYPE, "hello", init="side();"), code="int side(void);",
                                        flags=(f"-L{self.workshop.plugins}", "-lside", "-Wl,-rpath,$ORIGIN"))
        self.workshop.add("aa-replacer", Plugin(TYPE, "aa"), code=f"""#include <stdio.h>
            __attribute__((constructor)) static void replace(void) {{ rename("{evil}", "{library}"); }}""")
        self.configure()
        self.sign(self.workshop.plugins / "aa-replacer.so", library, *self.workshop.plugins.glob("[his]*.so"), comment="")
        daemon = self.start()
        found = self.plugins(daemon)[self.uri]
        self.assertEqual("failed", found.state)
        self.assertIn("libside.so: was replaced since it was checked", found.reason)
        self.assertNotIn("library evil", daemon.log)
        self.assert_stops(daemon)

    def test_a_reload_judges_every_file_anew(self):
        """A module that was revoked stops, and starts again once it is not."""
        self.sign_all()
        self.configure()
        daemon = self.start()
        self.assertEqual("ready", self.plugins(daemon)[self.uri].state)
        hash_of_hello = hashlib.sha256(self.module.read_bytes()).hexdigest()
        self.configure(revoked=[hash_of_hello])
        daemon.ctl("reload")
        found = self.plugins(daemon)
        self.assertEqual("rejected", found["hello.so"].state)
        self.assertIn("this file is revoked at ", found["hello.so"].reason)
        self.assertEqual("stopped", found[self.uri].state)
        self.assertRegex(daemon.ctl("plugins", "ls", "--all").stdout, rf"hello .*stopped +{self.id_of()} ")
        self.configure()
        daemon.ctl("reload")
        self.assertEqual("ready", self.plugins(daemon)[self.uri].state)
        self.assert_stops(daemon)

    def test_a_process_of_its_own_loads_what_was_verified(self):
        """A signed module runs isolated; once its file is another one, its next process refuses to load it."""
        greeter = "io.containerd.grpc.v1.greeter"
        self.workshop.add_default_modules("greeter")
        self.workshop.write_config(isolation={greeter: {"restart_delay": "5ms", "start_limit": 2}},
                                   trust={"require": "signature", "keys": [str(self.keys / "*.pub")]})
        self.sign_all()
        daemon = self.start()
        self.assertIn(self.plugins(daemon)[greeter].state, ("ready", "serving"))
        children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
        worker = [int(each) for each in children if "berth-worker" in Path(f"/proc/{each}/comm").read_text()]
        self.assertEqual(1, len(worker))
        path = self.workshop.plugins / "greeter.so"
        replacement = self.workshop.top / "other.bin"
        replacement.write_bytes(path.read_bytes() + b"x")
        replacement.chmod(0o755)
        replacement.rename(path)
        os.kill(worker[0], signal.SIGKILL)
        daemon.wait_for_log("was replaced since it was checked")
        self.assert_stops(daemon)

    @unittest.skipIf(os.geteuid() != 0, "only root can give a file away")
    def test_owners_matter_unless_nothing_is_required(self):
        os.chown(self.module, 12345, 12345)
        self.workshop.plugins.chmod(0o777)
        self.configure("none")
        self.assert_runs()
        self.workshop.plugins.chmod(0o755)
        self.configure("owner")
        self.assert_rejected("owned by user 12345")
        self.sign()
        self.configure("signature")
        self.assert_rejected("owned by user 12345")

    def test_keys_that_others_could_have_written_stop_the_daemon(self):
        self.configure()
        (self.keys / "release.pub").chmod(0o666)
        self.assert_refuses(3, "berthd.yaml:", "trust.keys: ", "release.pub: is not trusted", "everybody may write to it")

    def test_required_signatures_without_a_key_stop_the_daemon(self):
        (self.keys / "release.pub").unlink()
        self.configure()
        self.assert_refuses(3, "berthd.yaml:", "trust.require is signature, but no public key is configured")

    def lock(self, *arguments):
        done = self.berthd("plan", "--config", self.workshop.config, "--lock", *arguments)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def test_what_is_locked_runs_and_nothing_else(self):
        lock = self.workshop.top / "berth.lock"
        self.sign()
        self.configure("owner", lock=str(lock))
        self.assertIn("3 files locked", self.lock())
        text = lock.read_text()
        # YAML would read an identifier such as 013142E249512212 as a number: that one is quoted.
        self.assertRegex(text, f'sha256: "?{hashlib.sha256(self.module.read_bytes()).hexdigest()}"?\n'
                         f'    signer: "?{self.id_of()}"?\n')
        daemon = self.start()
        self.assertEqual("ready", self.plugins(daemon)[self.uri].state)
        self.assert_stops(daemon)
        self.workshop.add("other", Plugin(TYPE, "other"))
        self.assert_rejected("not listed in ", name="other.so")
        self.assert_runs()
        self.module = self.workshop.add("hello", Plugin(TYPE, "hello", init="/* rebuilt */ if (err == 0) abort();"))
        self.sign()
        self.assert_rejected("differs from ", "berth.lock:", "which has hello 1.0.0 as SHA-256",
                             hashlib.sha256(self.module.read_bytes()).hexdigest())
        # A look at the plan, and both are locked anew: the file is the same however often it is written.
        self.lock()
        self.assert_runs()
        first = lock.read_bytes()
        self.assertIn("4 files locked", self.lock(str(lock)))
        self.assertEqual(first, lock.read_bytes())
        self.assertEqual([], list(self.workshop.top.glob("berth.lock?*")))

    def test_a_locked_module_that_is_missing_is_told(self):
        lock = self.workshop.top / "berth.lock"
        self.configure("owner", lock=str(lock))
        self.lock()
        self.module.unlink()
        done = self.berthd("plan", "--config", self.workshop.config)
        self.assertRegex(done.stderr, r"warning: .*berth\.lock:\d+:\d+: hello 1\.0\.0 is locked but was not found")

    def test_a_lock_file_that_is_missing_or_wrong_stops_the_daemon(self):
        lock = self.workshop.top / "berth.lock"
        self.configure("owner", lock=str(lock))
        self.assert_refuses(3, "berthd.yaml:", "lock: ", "No such file", "berthd plan --lock")
        lock.write_text("version: 1\nmodules:\n  - module: hello\n")
        self.assert_refuses(3, "berth.lock:3:", "version")

    def test_without_keys_a_signature_is_shown_as_not_verified(self):
        self.sign()
        key_id = self.id_of()
        (self.keys / "release.pub").unlink()
        self.configure("owner")
        self.assertEqual((key_id, False, None), tuple(self.assert_runs()[each] for each in ("signer", "signature_verified", "signer_comment")))
        self.assertRegex(self.berthd("plan", "--config", self.workshop.config).stdout, rf"hello 1\.0\.0 +{key_id} not verified")
        daemon = self.start()
        self.assertRegex(daemon.ctl("plugins", "inspect", self.uri).stdout, rf"Signer: +{key_id} \(not verified")
        self.assert_stops(daemon)

    def test_the_command_line_says_what_it_misses(self):
        self.configure("owner")
        done = self.berthd("plan", "--config", self.workshop.config, "--lock")
        self.assertEqual(2, done.returncode)
        self.assertIn("name a file, or set lock", done.stderr)
        done = self.berthd("plan", "--config", self.workshop.config, "somewhere")
        self.assertEqual(2, done.returncode)
        self.assertIn("FILE is for --lock", done.stderr)

    @unittest.skipIf(IS_PRELOADED, "a sanitizer's libraries are another program's")
    def test_where_its_library_is_missing_nothing_counts_as_verified(self):
        self.configure()
        self.sign()
        alone = self.workshop.top / "alone"
        alone.mkdir()
        shutil.copy(BUILD / "core" / "berthd", alone)
        done = run(alone / "berthd", "plan", "--config", self.workshop.config, LD_LIBRARY_PATH=BUILD / "sdk" / "rpc")
        self.assertEqual(1, done.returncode)
        self.assertRegex(done.stdout, r"hello\.so: the signature by key \w+ cannot be verified: cannot use signatures: libberth-signature-sodium")

    @unittest.skipIf(IS_PRELOADED, "a sanitizer's libraries are another program's")
    def test_libsodium_is_mapped_by_whoever_verifies_and_by_nobody_else(self):
        def mapped(daemon):
            return set(re.findall(r"/(libberth-signature-sodium|libsodium)\.so", Path(f"/proc/{daemon.pid}/maps").read_text()))

        self.workshop.write_config()
        daemon = self.start()
        self.assertEqual(set(), mapped(daemon))
        self.assert_stops(daemon)
        self.configure("owner")
        daemon = self.start()
        self.assertEqual(set(), mapped(daemon), "nothing is signed")
        self.assert_stops(daemon)
        self.sign()
        daemon = self.start()
        self.assertEqual({"libberth-signature-sodium", "libsodium"}, mapped(daemon))
        self.assert_stops(daemon)


@unittest.skipIf(shutil.which("minisign") is None, "needs minisign")
class Sdk(Signed):
    """berth-sdk keygen, sign and verify, each against minisign and against a host."""

    def sdk(self, *arguments, password=None):
        done = subprocess.run([str(SDK), *map(str, arguments)], input=password, capture_output=True, text=True, check=False,
                              start_new_session=True, cwd=self.workshop.top, env=environment())
        self.assertNotIn("Sanitizer", done.stderr)
        return done

    def assert_done(self, done):
        self.assertEqual(0, done.returncode, done.stderr)
        return done

    def sign(self, *modules, key=None, comment=None, legacy=False):
        if legacy:
            Signed.sign(self, *modules, key=key, comment=comment, legacy=True)
            return
        more = [] if comment is None else ["--comment", comment]
        self.assert_done(self.sdk("sign", "--key", key or self.secret, *more, *(modules or (self.module,))))

    def make_key(self, name, folder=None):
        self.assert_done(self.sdk("keygen", "--no-password", name))
        (self.workshop.top / f"{name}.pub").rename((folder or self.keys) / f"{name}.pub")
        self.assertEqual(0o600, (self.workshop.top / f"{name}.key").stat().st_mode & 0o777)
        return self.workshop.top / f"{name}.key"

    def verify(self, *arguments):
        return self.sdk("verify", "--trusted", self.keys, *arguments)

    def test_minisign_verifies_what_we_sign(self):
        self.sign()
        done = minisign("-V", "-p", self.keys / "release.pub", "-m", self.module)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("berth module=hello version=1.0.0", done.stdout)

    def test_minisign_signs_with_our_keys(self):
        Signed.sign(self)
        self.assertIn(f"signed by {self.id_of()}: berth module=hello version=1.0.0", self.assert_done(self.verify(self.module)).stdout)
        Signed.sign(self, legacy=True)
        self.assert_done(self.verify(self.module))

    def test_we_sign_with_keys_of_minisign_that_have_a_password(self):
        secret, public = self.workshop.top / "slow.key", self.keys / "slow.pub"
        made = minisign("-G", "-p", public, "-s", secret, password="open sesame\nopen sesame\n")
        self.assertEqual(0, made.returncode, made.stderr)
        refused = self.sdk("sign", "--key", secret, self.module)
        self.assertEqual((1, True), (refused.returncode, "no terminal to prompt on" in refused.stderr), refused.stderr)
        refused = self.sdk("sign", "--key", secret, "--password-file", "-", self.module, password="sesame\n")
        self.assertEqual((1, True), (refused.returncode, "wrong password" in refused.stderr), refused.stderr)
        self.assertFalse(Path(f"{self.module}.minisig").exists())
        self.assert_done(self.sdk("sign", "--key", secret, "--password-file", "-", self.module, password="open sesame\n"))
        self.assertEqual(0, minisign("-V", "-p", public, "-m", self.module).returncode)

    def test_minisign_signs_with_our_keys_that_have_a_password(self):
        self.assert_done(self.sdk("keygen", "--password-file", "-", "shut", password="open sesame\n"))
        made = minisign("-S", "-s", self.workshop.top / "shut.key", "-m", self.module, password="open sesame\n")
        self.assertEqual(0, made.returncode, made.stderr)
        self.assert_done(self.sdk("verify", "--key", self.workshop.top / "shut.pub", self.module))

    def test_keygen_overwrites_nothing(self):
        self.make_key("twice", self.workshop.top)
        before = (self.workshop.top / "twice.key").read_bytes()
        refused = self.sdk("keygen", "--no-password", "twice")
        self.assertEqual(1, refused.returncode)
        self.assertIn("twice.key: cannot create it", refused.stderr)
        self.assertEqual(before, (self.workshop.top / "twice.key").read_bytes())
        (self.workshop.top / "twice.key").unlink()
        refused = self.sdk("keygen", "--no-password", "twice")
        self.assertEqual(1, refused.returncode)
        self.assertFalse((self.workshop.top / "twice.key").exists(), "half a pair")

    def test_verify_says_of_each_file_what_a_host_would(self):
        other = self.workshop.add("other", Plugin(TYPE, "other"))
        third = self.workshop.add("third", Plugin(TYPE, "third"))
        self.sign(self.module)
        self.sign(other, comment="berth module=hello version=1.0.0")
        done = self.verify(self.module, other, third)
        self.assertEqual(1, done.returncode)
        self.assertIn(f"hello.so: signed by {self.id_of()}", done.stdout)
        self.assertIn('signed it as module "hello", but its manifest has module "other"', done.stderr)
        self.assertIn("third.so: not signed", done.stderr)
        told = json.loads(self.verify("--json", self.module, other, third).stdout)
        self.assertEqual([True, False, False], [each["ok"] for each in told])
        self.assertEqual([True, True, False], [each["signature_verified"] for each in told])
        self.assertEqual(["hello", "other", None], [each["module"] for each in told])

    def test_a_host_runs_what_we_sign_and_it_is_bound_to_module_and_version(self):
        done = self.assert_done(self.sdk("sign", "--key", self.secret, self.module))
        self.assertIn("berth module=hello version=1.0.0", done.stdout)
        self.configure()
        self.assertEqual("berth module=hello version=1.0.0", self.assert_runs()["signer_comment"])
        self.sign(comment="berth module=hello version=2.0.0")
        self.assert_rejected('signed it as version "2.0.0"')

    def test_wrong_usage_is_said(self):
        self.assertEqual(2, self.sdk("sign", self.module).returncode)
        self.assertEqual(2, self.sdk("verify").returncode)
        if not list(Path("/usr/local/etc/berth/trusted").glob("*.pub")):
            self.assertIn("name one with --key FILE or --trusted DIR", self.sdk("verify", self.module).stderr)
        self.assertEqual(2, self.sdk("keygen").returncode)
        wrong = self.sdk("sign", "--key", self.keys / "release.pub", self.module)
        self.assertEqual(1, wrong.returncode)
        self.assertIn("not a minisign secret key", wrong.stderr)


if __name__ == "__main__":
    unittest.main()
