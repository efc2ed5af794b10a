# SPDX-License-Identifier: Apache-2.0
"""What the configuration says that is to be given up: the daemon tells its clients of it, by ids that stay."""

import datetime
import json
import shutil
import time
import unittest

import ask
import protos
from daemon import Case, run
from workshop import Plugin

CONFIG = "io.berth.deprecation/"
DIAL = "io.example.dial.v1.dial"
SERVER = "/containerd.services.introspection.v1.Introspection/Server"

# A plugin that meets something deprecated while it starts.
EMITS = """
#include <berth/types/deprecations.h>
"""
EMIT = """
    struct berth_ref ref;
    if (berth_get(host, BERTH_DEPRECATIONS_URI, &ref, err) != BERTH_OK)
        return BERTH_INTERNAL;
    const struct berth_deprecations *deprecations = ref.interface;
    if (deprecations->emit(ref.instance, "io.example.old.v1.old/spool", "its spool is of 2019", err) != BERTH_OK)
        return BERTH_INTERNAL;
"""


class Deprecations(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.workshop.add("mover", Plugin("io.example.mover.v1", "mover", yaml=(
            "config_version: 2\nrenames: [{before: 2, from: old_name, to: name}]\n"
            "config:\n  name: {type: string, default: nobody}")))
        self.workshop.add("dial", Plugin("io.example.dial.v1", "dial", yaml=(
            "config:\n  radius: {type: int, default: 1}\n  size: {type: int, default: 2, deprecated: radius}")))
        self.workshop.add("climber", Plugin(
            "io.example.climber.v1", "climber", yaml=(
                "config_version: 2\ncallbacks: [migrate]\n"
                "config:\n  metres: {type: int, default: 0}\n  feet: {type: int, default: 0, deprecated: metres}"),
            code="static enum berth_code migrate(const struct berth_migration *migration, struct berth_error *err)"
                 "{ return migration->set(migration, \"feet\", \"30\", err); }", members=".migrate = migrate,"))

    def deprecations(self, daemon):
        from google.protobuf import empty_pb2

        answer = ask.unary(daemon.address, SERVER, empty_pb2.Empty(), protos.introspection.ServerResponse)
        return {warning.id: warning for warning in answer.deprecations}

    def test_a_clean_configuration_has_none(self):
        daemon = self.start()
        self.assertEqual({}, self.deprecations(daemon))
        self.assertEqual([], json.loads(daemon.ctl("deprecations", "--json").stdout))
        self.assertEqual(["ID", "LAST", "OCCURRENCE", "MESSAGE"], daemon.ctl("deprecations").stdout.split())
        self.assert_stops(daemon)

    def test_settings_old_names_and_old_versions_are_told(self):
        self.workshop.write_config(plugins={
            DIAL: {"size": 3},
            "io.example.mover.v1.mover": {"config_version": 1, "old_name": "Anna"},
            "io.example.climber.v1.climber": {"config_version": 1}})
        before = time.time()
        daemon = self.start()
        told = self.deprecations(daemon)
        self.assertEqual({CONFIG + DIAL + "/size", CONFIG + "io.example.mover.v1.mover/old_name",
                          CONFIG + "io.example.climber.v1.climber/config_version",
                          CONFIG + "io.example.climber.v1.climber/feet"}, set(told))
        interval = told[CONFIG + DIAL + "/size"]
        self.assertRegex(interval.message, r"/berthd\.yaml:\d+:\d+: .*: size is deprecated; use radius")
        self.assertIn("`berthd config migrate`", told[CONFIG + "io.example.mover.v1.mover/old_name"].message)
        for warning in told.values():
            self.assertTrue(before - 1 <= warning.last_occurrence.seconds <= time.time() + 1)
            self.assertIn(warning.message, daemon.log)
        self.assert_stops(daemon)
        self.assertEqual(set(told), set(self.deprecations(self.start())))

    def test_plugins_tell_of_what_they_meet(self):
        self.workshop.add("old", Plugin("io.example.old.v1", "old", wants=["io.containerd.warning.v1"], init=EMIT), code=EMITS)
        daemon = self.start()
        self.assertEqual("its spool is of 2019", self.deprecations(daemon)["io.example.old.v1.old/spool"].message)
        self.assert_stops(daemon)

    def test_berthctl_lists_them(self):
        self.workshop.write_config(plugins={DIAL: {"size": 3}})
        daemon = self.start()
        self.assert_line(daemon.ctl("deprecations").stdout, CONFIG + DIAL + "/size", "is deprecated")
        [told] = json.loads(daemon.ctl("deprecations", "--json").stdout)
        self.assertEqual(CONFIG + DIAL + "/size", told["id"])
        when = datetime.datetime.fromisoformat(told["last_occurrence"][:26] + "+00:00")
        self.assertLess(abs(when.timestamp() - time.time()), 600)
        self.assert_stops(daemon)

    def test_without_the_plugin_there_are_none_and_all_else_is_as_it_was(self):
        (self.workshop.plugins / "deprecations.so").unlink()
        self.workshop.write_config(plugins={DIAL: {"size": 3}})
        daemon = self.start()
        self.assertEqual({}, self.deprecations(daemon))
        self.assert_line(daemon.log, " warn ", "size is deprecated")
        self.assert_stops(daemon)

    def test_ctr_sees_the_plugin(self):
        if shutil.which("ctr") is None:
            self.skipTest("ctr is not installed")
        daemon = self.start()
        listed = run("ctr", "--address", daemon.address, "plugins", "ls").stdout
        self.assert_line(listed, "io.containerd.warning.v1", "deprecations", "ok")
        self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
