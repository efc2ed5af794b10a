# SPDX-License-Identifier: Apache-2.0
"""The settings of one plugin, with where they were set, as clients see them: never a secret, never without bound."""

import json

import grpc

import ask
import protos
from daemon import Case
from workshop import Plugin

DOOR = "io.example.door.v1.door"
WIDE = "io.example.wide.v1.wide"
LONG = "io.example.long.v1.long"
MOVER = "io.example.mover.v1.mover"
STUCK = "io.example.stuck.v1.stuck"
SECRET = "swordfish"


class Settings(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules("servers", "introspection")
        self.workshop.add("door", Plugin("io.example.door.v1", "door", yaml=(
            "config:\n  address: {type: string, default: here}\n  size: {type: bytes, default: 4KiB}\n"
            "  password: {type: string, secret: true}\n  keys: {type: list, items: {type: string, secret: true}}\n"
            "  tokens: {type: map, items: {type: string, secret: true}}\n"
            "  vault: {type: object, secret: true, fields: {pin: {type: string}}}\n  unset: {type: string}")))
        self.workshop.add("wide", Plugin("io.example.wide.v1", "wide", yaml="config:\n  names: {type: list, items: {type: string}}"))
        self.workshop.add("long", Plugin("io.example.long.v1", "long", yaml="config:\n  names: {type: list, items: {type: string}}"))
        self.workshop.add("mover", Plugin("io.example.mover.v1", "mover", yaml=(
            "config_version: 2\nrenames: [{before: 2, from: old_name, to: name}]\nformerly: [io.example.former.v1.former]\n"
            "config:\n  name: {type: string, default: nobody}")))
        self.workshop.add("stuck", Plugin(
            "io.example.stuck.v1", "stuck", yaml="config_version: 2\ncallbacks: [migrate]\nconfig:\n  metres: {type: int, default: 0}",
            code="static enum berth_code migrate(const struct berth_migration *migration, struct berth_error *err)"
                 "{ return berth_error_set(err, BERTH_INTERNAL, \"lost\"); }", members=".migrate = migrate,"))
        self.workshop.write_config(plugins={
            STUCK: {"config_version": 1, "feet": 3},
            DOOR: {"address": "<b>there</b>", "password": SECRET, "keys": [SECRET], "tokens": {"ann": SECRET}, "vault": {"pin": SECRET}},
            WIDE: {"names": [str(i) for i in range(1500)]},
            LONG: {"names": ["x" * 1100] * 990},
            "io.example.former.v1.former": {"config_version": 1, "old_name": "somebody"}})
        self.daemon = self.start()

    def settings(self, uri):
        return ask.unary(self.daemon.address, "/berth.inspect.v1.Inspect/Settings", protos.inspect.SettingsRequest(uri=uri),
                         protos.inspect.SettingsResponse)

    def where(self, text):
        """The place of a text in the configuration."""
        for number, line in enumerate(self.workshop.config.read_text().splitlines(), 1):
            if text in line:
                return f"{self.workshop.config}:{number}:{line.index(text) + 1}"
        raise AssertionError(text)

    def test_each_has_its_value_and_its_place_and_secrets_stay(self):
        told = self.settings(DOOR)
        by_path = {s.path: s for s in told.settings}
        self.assertEqual(["address", "size", "password", "keys", "tokens.ann", "vault", "unset"], [s.path for s in told.settings])
        self.assertEqual(("\"<b>there</b>\"", self.where("\"<b>there")), (by_path["address"].value, by_path["address"].where))
        self.assertEqual(("4KiB", "default"), (by_path["size"].value, by_path["size"].where))
        self.assertEqual(("", ""), (by_path["unset"].value, by_path["unset"].where))
        for path in ("password", "keys", "tokens.ann", "vault"):
            self.assertTrue(by_path[path].secret, path)
            self.assertEqual("", by_path[path].value)
            self.assertTrue(by_path[path].where.startswith(f"{self.workshop.config}:"), by_path[path])
        self.assertEqual(self.where(f"\"{SECRET}"), by_path["password"].where)
        self.assertFalse(told.more)
        self.assertNotIn(SECRET.encode(), told.SerializeToString())

    def test_a_migrated_setting_says_where_it_was(self):
        setting, = self.settings(MOVER).settings
        self.assertEqual(("name", "somebody", self.where("\"somebody")), (setting.path, setting.value, setting.where))
        self.assertIn("old_name", setting.was)

    def test_answers_are_bounded(self):
        wide = self.settings(WIDE)
        self.assertEqual((1000, True), (len(wide.settings), wide.more))
        self.assertEqual("names[999]", wide.settings[999].path)
        long = self.settings(LONG)
        self.assertTrue(long.more)
        self.assertLess(len(long.settings), 990)
        self.assertEqual((1024, True), (len(long.settings[0].value), long.settings[0].cut))
        self.assertLessEqual(long.ByteSize(), 1024 * 1024 + 16)

    def test_a_section_that_could_not_be_migrated_has_none(self):
        with self.assertRaises(grpc.RpcError) as refused:
            self.settings(STUCK)
        self.assertEqual(grpc.StatusCode.FAILED_PRECONDITION, refused.exception.code())
        self.assertIn(STUCK, refused.exception.details())
        self.assertNotIn("settings", json.loads(self.daemon.ctl("plugins", "inspect", "--json", STUCK).stdout))

    def test_nobody_has_none(self):
        for uri in ("io.no.v1.body", "", "x" * 100000):
            with self.assertRaises(grpc.RpcError) as refused:
                self.settings(uri)
            self.assertEqual(grpc.StatusCode.NOT_FOUND, refused.exception.code())

    def test_berthctl_shows_them_with_the_plugin(self):
        text = self.daemon.ctl("plugins", "inspect", DOOR).stdout
        place = self.where('"<b>there')
        self.assertIn(f'address: "<b>there</b>"  # {place}', text)
        self.assertIn("size: 4KiB  # default", text)
        self.assertIn("unset: not set", text)
        self.assertIn("password: (secret, not shown)  # ", text)
        self.assertNotIn(SECRET, text)
        shown = json.loads(self.daemon.ctl("plugins", "inspect", "--json", DOOR).stdout)
        self.assertEqual({"path": "size", "value": "4KiB", "where": "default", "was": None, "secret": False, "cut": False},
                         shown["settings"][1])
        self.assertFalse(shown["more_settings"])
        self.assertNotIn(SECRET, json.dumps(shown))
        self.assertIn("and more: see berthd config dump", self.daemon.ctl("plugins", "inspect", WIDE).stdout)
