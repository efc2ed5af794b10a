# SPDX-License-Identifier: Apache-2.0
"""Greps for the directions that may not be: see Contributing in README.md."""

import re
import unittest

import sources


def c_files(*rooms):
    return sources.files(*sources.C_ENDINGS, under=rooms or sources.ROOMS)


# core/module loads modules, the other a private library of ours, by its soname, when it is first needed. Two files of core/base
# only ask where code is, and what the C library keeps.
LOADERS = {"sdk/base/lazy_library.c", "core/base/frames.c", "core/base/c_library.c"}


class Includes(unittest.TestCase):
    def assert_none(self, offences, rule):
        self.assertEqual([], offences, rule)

    def offenders(self, paths, pattern):
        return [f"{path}: {name}" for path in paths for name in sources.includes(path) if re.match(pattern, name)]

    def test_a_quoted_path_stays_in_its_folder(self):
        self.assert_none(self.offenders(c_files(), r'".*/'), "quotes are for neighbours, use <…> for a contract")

    def test_dlfcn_is_seen_by_core_module_and_by_what_loads_a_library_of_ours(self):
        paths = [p for p in c_files() if p.parts[0] != "tests" and p.parts[:2] != ("core", "module") and str(p) not in LOADERS]
        self.assert_none(self.offenders(paths, r"<dlfcn\.h>"), "only these load code")

    def test_the_libraries_are_seen_by_their_public_headers(self):
        paths = [p for p in c_files() if p.parts[0] not in ("sdk", "tests")]
        self.assert_none(self.offenders(paths, r"<sdk/(?!base/|calls/)"), "libraries are seen as <berth/…>")
        self.assert_none(self.offenders(c_files("plugins"), r"<sdk/"), "plugins include <berth/…>")
        strange = r"<(berth/(?!error\.h>)|config/|core/|sdk/(?!base/))"
        self.assert_none(self.offenders(c_files("sdk/base"), strange), "sdk/base stands on the C library")
        paths = [p for p in c_files("sdk/base") if p.stem != "deadlines"]
        self.assert_none(self.offenders(paths, r"<uv\.h"), "of sdk/base only the deadlines are on a loop")

    def test_the_call_engine_stands_below_the_host_and_is_entered_by_its_door(self):
        strange = r"<(berth/rpc/|uv\.h|config/|core/|plugins/|tests/|tools/|sdk/(?!base/))"
        self.assert_none(self.offenders(c_files("sdk/calls"), strange), "sdk/calls sees <berth/…> and sdk/base")
        paths = [p for p in c_files() if p.parts[:2] != ("sdk", "calls")]
        self.assert_none(self.offenders(paths, r"<sdk/calls/(?!(router|outgoing)\.h>)"),
                         "its doors are <sdk/calls/router.h> and, for callers, <sdk/calls/outgoing.h>")

    def test_re2_is_seen_by_one_file_of_sdk_filter_alone(self):
        paths = [p for p in c_files() if p.parts[0] != "tests" and str(p) != "sdk/filter/re2.cc"]
        self.assert_none(self.offenders(paths, r"<re2/"), "only sdk/filter/re2.cc compiles patterns")

    def test_libprotobuf_is_seen_by_one_file_of_sdk_json_and_by_the_generator(self):
        users = ("sdk/json/protobuf.cc", "tools/protoc-gen-berth/")
        paths = [p for p in c_files() if p.parts[0] != "tests" and not str(p).startswith(users)]
        self.assert_none(self.offenders(paths, r"<google/protobuf/(?!.*\.pb-c\.h>)"), "only sdk/json/protobuf.cc converts JSON")

    def test_yaml_is_seen_by_config_yaml_alone(self):
        paths = [p for p in c_files() if str(p) != "config/tree/yaml.c"]
        self.assert_none(self.offenders(paths, r"<yaml\.h>"), "only config/tree/yaml.c reads YAML")

    def test_nghttp2_is_seen_by_sdk_rpc_alone(self):
        speakers = ("http2_peer.c", "fuzz_rpc_http_message.c")
        paths = [p for p in c_files() if p.parts[:2] != ("sdk", "rpc") and p.name not in speakers]
        self.assert_none(self.offenders(paths, r"<nghttp2/"), "only sdk/rpc speaks HTTP/2")

    def test_zlib_is_seen_by_one_file_of_each_library_that_compresses(self):
        places = ("sdk/rpc/message/zlib_library.h", "sdk/fetch/gzip.c")
        paths = [p for p in c_files() if p.parts[0] != "tests" and str(p) not in places]
        self.assert_none(self.offenders(paths, r"<zlib\.h>"), f"only {' and '.join(places)} compress")

    def test_libcurl_is_seen_by_one_file_of_sdk_fetch_alone(self):
        paths = [p for p in c_files() if p.parts[0] != "tests" and str(p) != "sdk/fetch/curl.c"]
        self.assert_none(self.offenders(paths, r"<curl/"), "only sdk/fetch/curl.c speaks HTTP as a client")

    def test_openssl_is_seen_by_the_tls_files_of_sdk_rpc_alone(self):
        paths = [p for p in c_files() if p.parts[0] != "tests" and not re.match(r"sdk/rpc/tls/", str(p))]
        self.assert_none(self.offenders(paths, r"<openssl/"), "only sdk/rpc/tls/ encrypts")

    def test_libseccomp_is_seen_by_one_file_of_core_sandbox_alone(self):
        paths = [p for p in c_files() if str(p) != "core/sandbox/filter.c"]
        self.assert_none(self.offenders(paths, r"<seccomp\.h>"), "only core/sandbox/filter.c filters system calls")

    def test_libsodium_is_seen_by_one_file_of_sdk_signature(self):
        paths = [p for p in c_files() if p.parts[0] != "tests" and str(p) != "sdk/signature/sodium.c"]
        self.assert_none(self.offenders(paths, r"<sodium"), "only sdk/signature/sodium.c verifies and signs")

    def test_lmdb_is_seen_by_its_plugin_alone(self):
        paths = [p for p in c_files() if p.parts[0] != "tests" and p.parts[:2] != ("plugins", "store-lmdb")]
        self.assert_none(self.offenders(paths, r"<lmdb\.h>"), "only plugins/store-lmdb keeps a file of LMDB")

    def test_tomlplusplus_is_seen_by_one_file_of_berth_import(self):
        paths = [p for p in c_files() if str(p) != "tools/berth-import/toml.cc"]
        self.assert_none(self.offenders(paths, r"<toml\+\+/"), "only tools/berth-import/toml.cc reads TOML")

    def test_libsystemd_is_seen_by_nobody(self):
        self.assert_none(self.offenders(c_files(), r"<systemd/"), "core/notify.c speaks sd_notify's protocol itself")

    def test_the_contract_knows_nothing_of_the_host(self):
        allowed = r"<(berth/|uv\.h|std|cstd|strings?\.h|inttypes\.h|limits\.h|assert\.h|errno\.h|sys/|arpa/|net|unistd\.h|protobuf-c/)"
        paths = c_files("sdk/include")
        wrong = [f"{p}: {name}" for p in paths for name in sources.includes(p) if not re.match(allowed, name)]
        self.assert_none(wrong, "sdk/include is berth/, libuv and the C library")

    def test_config_does_not_know_the_core(self):
        self.assert_none(self.offenders(c_files("config"), r"<(core|rpc|plugins|tests|tools)/"), "layers go down")

    def test_a_room_of_config_sees_those_before_it(self):
        order = ["text", "tree", "schema", "print"]
        for i, room in enumerate(order):
            strange = rf"<config/(?!({'|'.join(order[: i + 1])})/)"
            self.assert_none(self.offenders(c_files(f"config/{room}"), strange), f"{room} sees {order[:i]}")

    def test_the_core_knows_no_plugin_and_none_of_their_libraries(self):
        forbidden = r"<(plugins|rpc|nghttp2|protobuf-c|openssl|tests)/|<tools/(?!cli/)|<lmdb\.h>"
        self.assert_none(self.offenders(c_files("core"), forbidden), "plugins are named in configuration only")

    def test_the_way_from_directories_to_modules_goes_one_way(self):
        above = {
            "base": "",
            "scan": "base/",
            "trust": r"base/|scan/scan\.h",
            "elf": r"base/|scan/scan\.h",
            "manifest": r"base/|(scan/scan|trust/trust|elf/elf)\.h",
            "module": r"base/|(scan/scan|elf/elf|manifest/manifest)\.h",
        }
        for room, doors in above.items():
            strange = rf"<core/(?!{doors or 'base/'})"
            self.assert_none(self.offenders(c_files(f"core/{room}"), strange), f"what core/{room} may see of the core")

    def test_a_room_of_the_core_is_entered_by_its_doors(self):
        doors = {"scan": "scan", "trust": "trust", "elf": "elf", "manifest": "manifest", "settings": "settings",
                 "plan": "plan", "survey": "survey", "module": "module|content|held|originals", "reload": "reload|activation|files_watch", "life": "generation|mailbox", "perform": "perform", "listen": "listen", "worker": "isolated|launched", "sandbox": "sandbox",
                 "wire": "packet|peer|channel|numbers|start|carried|ask|reads|event", "remote": "remote", "crossing": "crossing", "inside": "none",
                 "state": "state", "crash": "crash", "watch": "watch", "commands": "none"}
        for room, names in doors.items():
            others = [p for p in c_files("core") if p.parts[1] != room]
            self.assert_none(self.offenders(others, rf"<core/{room}/(?!({names})\.h>)"), f"doors of core/{room}: {names}")

    def test_what_crosses_knows_no_process_and_the_bytes_know_neither(self):
        self.assert_none(self.offenders(c_files("core/wire"), r"<core/(?!(sandbox/sandbox)\.h>)"), "both sides speak with it")
        self.assert_none(self.offenders(c_files("core/crossing"), r"<core/(?!wire/|(remote/remote|manifest/manifest)\.h>)"), "isolated starts workers")
        self.assert_none(self.offenders(c_files("core/remote"), r"<core/(?!wire/(channel|numbers)\.h>)"), "both sides call with it")
        self.assert_none(self.offenders(c_files("core/inside"), r"<core/(worker|crossing|state|plan)/"), "a worker has no daemon")

    def test_the_sandbox_sees_nothing_else_of_the_core(self):
        self.assert_none(self.offenders(c_files("core/sandbox"), r"<core/(?!sandbox/)"), "it confines a process, whatever that runs")

    def test_the_fake_host_has_of_the_core_what_both_hosts_do_alike(self):
        shared = r"(manifest/manifest|settings/settings|life/(mailbox|service_routes)|state/(changes|connections|followers))\.h>"
        self.assert_none(self.offenders(c_files("sdk/testing"), rf"<core/(?!{shared})"), "the rest it fakes")

    def test_the_plan_knows_what_was_found_and_what_is_configured(self):
        self.assert_none(self.offenders(c_files("core/plan"), r"<core/(?!base/|(scan/scan|manifest/manifest|settings/settings)\.h>)"),
                         "the plan is made of manifests and settings")

    def test_life_writes_what_state_shows_and_neither_looks_up(self):
        self.assert_none(self.offenders(c_files("core/change"), r"<(uv\.h|core/(?!base/names\.h|(manifest/manifest|plan/plan|settings/settings)\.h>))"),
                         "a change is computed from a plan and what runs")
        top = r"<core/([a-z_]+\.h|commands/"
        self.assert_none(self.offenders(c_files("core/module"), top + "|state/|life/)"), "module loads one file")
        self.assert_none(self.offenders(c_files("core/state"), top + "|module/|life/)"), "life includes state")
        self.assert_none(self.offenders(c_files("core/life"), top + "|change/|perform/)"), "a generation knows no other")
        self.assert_none(self.offenders(c_files("core/survey"), top + "|life/|change/|perform/|reload/)"), "a survey runs nothing")
        self.assert_none(self.offenders(c_files("core/reload"), top + "|worker/|watch/)"), "it asks for changes and is handed the rest")
        self.assert_none(self.offenders(c_files("core/perform"), top + "|module/|reload/)"), "the machine calls functions that it is handed")

    def test_listeners_know_the_log_and_no_room(self):
        self.assert_none(self.offenders(c_files("core/listen"), r"<core/(?!base/)"), "it is handed what it calls")

    def test_the_watch_and_the_crash_report_know_who_runs_and_no_room(self):
        self.assert_none(self.offenders(c_files("core/watch"), r"<core/(?!base/|crash/)"), "it is handed what it calls")
        self.assert_none(self.offenders(c_files("core/crash"), r"<core/(?!base/)"), "it is handed what it calls")

    def test_the_core_names_no_plugin(self):
        wrong = []
        for path in c_files("core"):
            code = sources.without_comments(sources.text(path))
            wrong += [f"{path}: {uri}" for uri in re.findall(r'"(io\.(?:containerd|berth)\.[^"]*)"', code)]
        self.assert_none(wrong, "core/ has no type and no plugin of its own")

    def test_a_plugin_sees_only_the_contract(self):
        forbidden = r"<(config|core|plugins|tests|tools)/"
        paths = c_files("plugins", "sdk/template", "tests/interop/module")
        self.assert_none(self.offenders(paths, forbidden), "plugins include <berth/…>")

    def test_the_rpc_library_stands_on_its_own(self):
        self.assert_none(self.offenders(c_files("sdk/rpc"), r"<(config|core|plugins|tests|tools)/"), "no host in it")
        self.assert_none(self.offenders(c_files("sdk/rpc"), r"<sdk/(?!base/|calls/|rpc/)"), "of sdk/ it sees base and calls")
        library = [p for p in c_files("sdk/rpc") if "examples" not in p.parts and p.name != "plugin.h"]
        strange = r"<(berth/(?!rpc/|(address|call|error|json_writer|router|trace|types/http|utf8|wire)\.h>)|protobuf-c/)"
        self.assert_none(self.offenders(library, strange), "a server or client without host, plugins and messages")

    def test_a_room_of_the_rpc_library_sees_those_below_it(self):
        below = ["base", "message", "socket"]
        seen = {room: below[:level] for level, room in enumerate(below)}
        seen |= {room: below for room in ("tls", "connect", "http1", "http2", "ttrpc")}
        seen |= {room: [*below, "tls", "connect", "http1", "http2", "ttrpc"] for room in ("server", "client")}
        for room, others in seen.items():
            strange = rf"<sdk/rpc/(?!({'|'.join([room, *others])})/)"
            self.assert_none(self.offenders(c_files(f"sdk/rpc/{room}"), strange), f"{room} sees {others}")

    def test_berthctl_reaches_the_daemon_over_its_socket_only(self):
        self.assert_none(self.offenders(c_files("tools/berthctl"), r"<(core|plugins|tests)/"), "no shared core")

    def test_berth_sdk_has_of_the_core_what_loads_nothing(self):
        forbidden = r"<(core/(?!manifest/|elf/elf\.h|scan/scan\.h|trust/trust\.h)|plugins/|tests/)"
        self.assert_none(self.offenders(c_files("tools/berth-sdk"), forbidden), "it loads no module")

    def test_berth_import_has_of_the_core_what_runs_no_code_of_plugins(self):
        forbidden = r"<(core/(?!(scan/scan|settings/settings)\.h>)|plugins/|tests/)"
        self.assert_none(self.offenders(c_files("tools/berth-import"), forbidden), "it loads no module")

    def test_command_lines_are_parsed_by_one_parser(self):
        paths = [p for p in c_files("config", "core", "sdk", "plugins", "tools") if "examples" not in p.parts]
        self.assert_none(self.offenders(paths, r"<getopt\.h>"), "tools/cli has the options of every program")

    def test_the_option_parser_knows_no_program(self):
        self.assert_none(self.offenders(c_files("tools/cli"), r"<(core|plugins|rpc|tests|tools)/"), "the programs are its users")

    def test_nothing_includes_the_tests(self):
        paths = [p for p in c_files() if p.parts[0] != "tests"]
        self.assert_none(self.offenders(paths, r"<tests/"), "tests are leaves")

    def test_every_file_begins_with_its_licence(self):
        wrong = []
        for path in sources.files(*sources.C_ENDINGS, ".py"):
            lines = sources.text(path).splitlines()[:2]
            if lines and lines[0].startswith("#!"):
                lines = lines[1:]
            if not lines or "SPDX-License-Identifier: Apache-2.0" not in lines[0]:
                wrong.append(str(path))
        self.assert_none(wrong, "the first line is the SPDX line")


if __name__ == "__main__":
    unittest.main()
