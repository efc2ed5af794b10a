# SPDX-License-Identifier: Apache-2.0
"""Live changes of a plugin, in the daemon and in a process of its own: settings in place, and state that it hands over."""

import os
import re
import signal
import time

from daemon import PATIENCE
from isolated import Isolated
from workshop import Plugin

KEPT = "io.example.kept.v1.kept"
STATE_MAX = 64 << 20

CODE = r"""
static int64_t number(const struct berth_settings *settings, const char *name)
{
    const struct berth_value *value = settings->find(settings->root, name);

    return value != NULL ? settings->integer(value) : 0;
}

static const char *word(const struct berth_settings *settings)
{
    return settings->string(settings->find(settings->root, "word"));
}

static enum berth_code reconfigure(const struct berth_host *host, void *instance, const struct berth_settings *before,
                                   struct berth_error *err)
{
    berth_log(host, BERTH_LOG_INFO, "says: %s after %s", word(host->settings), word(before));
    if (strcmp(word(host->settings), "restart") == 0)
        return berth_error_set(err, BERTH_RESTART, "a restart is wanted");
    if (strcmp(word(host->settings), "refuse") == 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "not this one");
    if (strcmp(word(host->settings), "pending") == 0)
        return BERTH_PENDING;
    if (strcmp(word(host->settings), "crash") == 0)
        abort();
    if (strcmp(word(host->settings), "hang") == 0)
        for (;;)
            pause();
    return BERTH_OK;
}

static void check(const struct berth_check *table)
{
    if (strcmp(word(table->settings), "wrong") == 0)
        berth_check_problem(table, BERTH_LOG_ERROR, "word", "it is wrong");
}

static enum berth_code save(const struct berth_host *host, void *instance, const struct berth_state_writer *writer,
                            struct berth_error *err)
{
    int64_t left = number(host->settings, "bytes");
    static unsigned char part[100003];
    enum berth_code code = BERTH_OK;

    for (size_t i = 0; i < sizeof(part); i++)
        part[i] = (unsigned char)(i * 7);
    if (left < 0)
        return berth_error_set(err, BERTH_DATA_LOSS, "nothing is left of it");
    berth_log(host, BERTH_LOG_INFO, "says: saves %lld bytes", (long long)left);
    while (left > 0 && code == BERTH_OK) {
        size_t length = left < (int64_t)sizeof(part) ? (size_t)left : sizeof(part);

        code = writer->write(writer, part, length, err);
        left -= (int64_t)length;
    }
    return code;
}

static enum berth_code load(const struct berth_host *host, void *instance, uint32_t version, const void *bytes, size_t length,
                            struct berth_error *err)
{
    for (size_t i = 0; i < length; i++)
        if (((const unsigned char *)bytes)[i] != (unsigned char)(i % 100003 * 7))
            return berth_error_set(err, BERTH_DATA_LOSS, "byte %zu is another", i);
    berth_log(host, BERTH_LOG_INFO, "says: loads %zu bytes of version %u", length, (unsigned)version);
    if (strcmp(word(host->settings), "illegible") == 0 && HAS_TASTE)
        return berth_error_set(err, BERTH_DATA_LOSS, "not to its taste");
    return BERTH_OK;
}
"""


def kept(has_taste=0):
    return {"code": CODE.replace("HAS_TASTE", str(has_taste))}


PLUGIN = Plugin(
    "io.example.kept.v1", "kept",
    init='berth_log(host, BERTH_LOG_INFO, "says: begins with %s", host->settings->string(host->settings->find(host->settings->root, "word")));',
    yaml="callbacks: [reconfigure, save_state, load_state, check]\nupgrade: handover\nstate: {writes: 2, reads: [1, 2]}\n"
         "config:\n  word: {type: string, default: first}\n  bytes: {type: int, default: 3}\n  file: {type: path}",
    members=".reconfigure = reconfigure, .save_state = save, .load_state = load, .check = check")


class Changes(Isolated):
    def setUp(self):
        super().setUp()
        self.workshop.add("kept", PLUGIN, **kept())

    def begin_kept(self, is_isolated, **settings):
        self.isolated_settings = {"isolation": {KEPT: {"restart_delay": "5ms"}}} if is_isolated else {}
        self.write(**settings)
        daemon = self.start()
        self.assertEqual(int(is_isolated), len(self.workers(daemon)))
        self.said = 0
        return daemon

    def write(self, timeouts=None, **settings):
        self.workshop.write_config(plugins={KEPT: settings}, **self.isolated_settings, **({"timeouts": timeouts} if timeouts else {}))

    def told(self, daemon, *words):
        """What the command says and exits with, without what differs from run to run; and what the plugin has said since."""
        done = daemon.ctl(*words)
        text = re.sub(r"\d+(\.\d+)? ?[mu]?s\b", "TIME", done.stdout + done.stderr).replace(str(self.workshop.top), "TOP")
        said = re.findall(r"says: (.*?)\"?$", daemon.log, re.M)
        new, self.said = said[self.said:], len(said)
        return done.returncode, text, new

    def reload(self, daemon, **settings):
        self.write(**settings)
        return self.told(daemon, "reload")

    def upgrade(self, daemon, version, **how):
        self.workshop.add("kept", PLUGIN, version=version, **kept(**how))
        return self.told(daemon, "plugins", "upgrade", KEPT)

    def compare(self, scenario):
        """The same in the daemon and out of it."""
        told = []
        for is_isolated in (False, True):
            (self.workshop.top / "first.so").unlink(missing_ok=True)
            os.link(self.workshop.add("kept", PLUGIN, **kept()), self.workshop.top / "first.so")
            daemon = self.begin_kept(is_isolated)
            told.append(list(scenario(daemon)))
            self.assert_stops(daemon)
        for one, other in zip(*told):
            self.assertEqual(one, other)
        return told[1]


class InPlace(Changes):
    def test_settings_are_taken_refused_or_taken_by_a_restart(self):
        def scenario(daemon):
            yield self.reload(daemon, word="second")
            yield self.reload(daemon, word="refuse")
            yield self.reload(daemon, word="pending")
            yield self.reload(daemon, word="third")
            yield self.reload(daemon, word="restart")

        taken, refused, pending, third, restarted = self.compare(scenario)
        self.assertEqual((0, ["begins with first", "second after first"]), (taken[0], taken[2]))
        self.assertIn("not this one", refused[1])
        self.assertEqual(["refuse after second"], refused[2])
        self.assertNotEqual(0, pending[0])
        self.assertEqual(["third after second"], third[2])
        self.assertIn("which it does not take in place", restarted[1])
        self.assertEqual(["restart after third", "begins with restart"], [text for text in restarted[2] if "bytes" not in text])

    def test_its_own_check_is_asked_before(self):
        daemon = self.begin_kept(True)
        code, text, said = self.reload(daemon, word="wrong")
        self.assertNotEqual(0, code)
        self.assertIn("word: it is wrong", text)
        self.assertEqual(["begins with first"], said)
        self.assertEqual((0, ["fine after first"]), self.reload(daemon, word="fine")[::2])
        self.assert_stops(daemon)

    def test_a_process_that_is_started_again_has_the_newest(self):
        daemon = self.begin_kept(True)
        for word in ("second", "third"):
            self.assertEqual(0, self.reload(daemon, word=word)[0])
        os.kill(self.workers(daemon)[0], signal.SIGKILL)
        daemon.wait_for_log("says: begins with third")
        self.assertEqual(["fourth after third"], self.reload(daemon, word="fourth")[2][-1:])
        self.assert_stops(daemon)

    def test_other_paths_need_another_sandbox(self):
        daemon = self.begin_kept(True)
        path = self.workshop.top / "more"
        path.write_text("", encoding="ascii")
        before = self.workers(daemon)
        code, text, said = self.reload(daemon, file=str(path))
        self.assertEqual(0, code, text)
        self.assertIn("which it does not take in place", text)
        self.assertEqual(["begins with first"], said[1:2])
        self.assertNotEqual(before, self.workers(daemon))
        self.assert_stops(daemon)

    def test_one_that_crashes_or_hangs_over_it_goes_on_with_the_old(self):
        daemon = self.begin_kept(True, timeouts={"init": "2s"})
        for word, reason in (("crash", "SIGABRT"), ("hang", r"its reconfigure did not complete within TIME \(timeouts.init\)")):
            code, text, _ = self.reload(daemon, word=word, timeouts={"init": "2s"})
            self.assertNotEqual(0, code, text)
            self.assertRegex(text, reason, daemon.log)
            end = time.monotonic() + PATIENCE
            while daemon.log.count("says: begins with first") < (2 if word == "crash" else 3):
                self.assertLess(time.monotonic(), end, daemon.log)
                time.sleep(0.02)
        # The greeter was not held up by any of it.
        self.greet(daemon)
        daemon.stop()


class HandedOver(Changes):
    def test_state_goes_to_the_next_generation(self):
        def scenario(daemon):
            yield self.upgrade(daemon, "1.1.0")
            yield self.reload(daemon, bytes=STATE_MAX, word="large")
            yield self.upgrade(daemon, "1.2.0")
            yield self.reload(daemon, bytes=0, word="none")
            yield self.upgrade(daemon, "1.3.0")

        first, _, large, _, none = self.compare(scenario)
        self.assertEqual((0, ["begins with first", "begins with first", "saves 3 bytes", "loads 3 bytes of version 2"]), first[::2])
        self.assertEqual((0, ["begins with large", f"saves {STATE_MAX} bytes", f"loads {STATE_MAX} bytes of version 2"]), large[::2])
        self.assertEqual((0, ["begins with none", "saves 0 bytes", "loads 0 bytes of version 2"]), none[::2])

    def test_one_that_cannot_be_saved_or_loaded_leaves_the_old_generation(self):
        def scenario(daemon):
            yield self.reload(daemon, word="illegible")
            yield self.upgrade(daemon, "1.1.0", has_taste=1)
            yield from self.go_on(daemon, bytes=-1)
            yield self.upgrade(daemon, "1.2.0")
            yield from self.go_on(daemon, bytes=STATE_MAX + 1)
            yield self.upgrade(daemon, "1.3.0")
            yield from self.go_on(daemon, word="again")

        _, unloaded, _, unsaved, _, too_large, again = self.compare(scenario)
        self.assertIn("the state of the old generation could not be loaded: not to its taste", unloaded[1])
        self.assertIn("its state could not be saved: nothing is left of it", unsaved[1])
        self.assertIn(f"its state could not be saved: the state has more than {STATE_MAX} bytes", too_large[1])
        self.assertEqual(["again after first"], again[2])

    def go_on(self, daemon, **settings):
        """The file of the version that runs is back, so that the settings are all that has changed."""
        os.link(self.workshop.top / "first.so", self.workshop.top / "again.so")
        (self.workshop.top / "again.so").replace(self.workshop.plugins / "kept.so")
        yield self.reload(daemon, **settings)
