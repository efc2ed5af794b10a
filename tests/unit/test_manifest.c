/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests, right ones and wrong ones, as they stand in a note. */
#include <core/manifest/manifest.h>

#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#define HEAD "module: m\nversion: 1.0.0\nplugins:\n  - "
#define PLUGIN HEAD "type: io.example.v1\n    id: a\n    "
#define STATE PLUGIN "callbacks: [save_state, load_state]\n    "

static struct manifest *parse(const char *text, struct config_diagnostics *diagnostics)
{
    return manifest_parse("/p/m.so", text, strlen(text), diagnostics);
}

static struct manifest *parse_good(const char *text)
{
    struct config_diagnostics diagnostics = {0};
    struct manifest *manifest = parse(text, &diagnostics);

    if (manifest == NULL || diagnostics.count > 0)
        fail_msg("refused: %s", diagnostics.count > 0 ? diagnostics.items[0].message : "without a reason");
    config_diagnostics_finish(&diagnostics);
    return manifest;
}

static void a_plugin_reads_the_state_it_lists(void **state)
{
    struct manifest *one = parse_good(STATE "state: {writes: 1}\n");
    struct manifest *two = parse_good(STATE "state: {writes: 2, reads: [1, 2]}\n");
    struct manifest *none = parse_good(PLUGIN "upgrade: handover\n");

    assert_true(manifest_reads_state(&one->plugins[0], &one->plugins[0]));
    assert_true(manifest_reads_state(&two->plugins[0], &one->plugins[0]));
    assert_false(manifest_reads_state(&one->plugins[0], &two->plugins[0]));
    assert_true(manifest_reads_state(&one->plugins[0], &none->plugins[0]));
    assert_false(manifest_reads_state(&none->plugins[0], &one->plugins[0]));
    manifest_destroy(one);
    manifest_destroy(two);
    manifest_destroy(none);
}

static void every_key_is_read(void **state)
{
    struct manifest *manifest =
        parse_good("module: greeter\nversion: 1.2.0\ndescription: Says hello.\nauthor: Ada\n"
                   "licence: Apache-2.0\nneeds: [skip_unless, migrate]\nplugins:\n"
                   "  - type: io.containerd.grpc.v1\n    id: greeter\n    description: The word.\n"
                   "    requires: [io.berth.store.v1, io.berth.store.v1.main]\n"
                   "    wants: [\"*\"]\n"
                   "    services:\n      helloworld.Greeter: {SayHello: unary, Watch: server_stream}\n"
                   "    transports: {helloworld.Greeter: [tcp, ttrpc]}\n"
                   "    callbacks: [prepare, discard, migrate, reconfigure, save_state, load_state]\n"
                   "    interface: berth_greeter\n    upgrade: handover\n"
                   "    activate: call\n    http_prefix: /greet\n"
                   "    state: {writes: 3, reads: [2, 3]}\n"
                   "    protos: [greeter.proto, example/v1/more.proto]\n"
                   "    config_version: 3\n"
                   "    renames: [{before: 2, from: word, to: texts.word}, {before: 3, from: old},\n"
                   "              {before: 3, from: 'hosts.*.dir', to: 'dirs.*.all', wrap: true}]\n"
                   "    formerly: [cri, io.example.v1.old]\n"
                   "    leaves: [period]\n"
                   "    gives_to: [io.example.v1.new]\n"
                   "    migrates: listed\n"
                   "    carries: [quic, tcp]\n"
                   "    skip_unless: [greeting, \"env:GREETER_ON\"]\n"
                   "    config:\n      greeting: {type: string, default: Hello}\n");
    const struct manifest_plugin *plugin = &manifest->plugins[0];

    assert_string_equal(manifest->path, "/p/m.so");
    assert_string_equal(manifest->module, "greeter");
    assert_string_equal(manifest->version, "1.2.0");
    assert_string_equal(manifest->description, "Says hello.");
    assert_string_equal(manifest->author, "Ada");
    assert_string_equal(manifest->licence, "Apache-2.0");
    assert_int_equal(manifest->plugin_count, 1);
    assert_ptr_equal(plugin->manifest, manifest);
    assert_string_equal(plugin->uri, "io.containerd.grpc.v1.greeter");
    assert_string_equal(plugin->description, "The word.");
    assert_int_equal(plugin->requirement_count, 2);
    assert_string_equal(plugin->requirements[1].name, "io.berth.store.v1.main");
    assert_int_equal(plugin->requirements[1].mark.line, 11);
    assert_int_equal(plugin->want_count, 1);
    assert_string_equal(plugin->wants[0].name, "*");
    assert_int_equal(plugin->service_count, 1);
    assert_string_equal(plugin->services[0].name, "helloworld.Greeter");
    assert_int_equal(plugin->services[0].method_count, 2);
    assert_string_equal(plugin->services[0].methods[1].name, "Watch");
    assert_int_equal(plugin->services[0].methods[1].kind, BERTH_METHOD_SERVER_STREAM);
    assert_int_equal(plugin->services[0].transport_count, 2);
    assert_string_equal(plugin->services[0].transports[0], "tcp");
    assert_string_equal(plugin->services[0].transports[1], "ttrpc");
    assert_int_equal(plugin->callbacks, MANIFEST_CALLBACK_PREPARE | MANIFEST_CALLBACK_DISCARD |
                                            MANIFEST_CALLBACK_MIGRATE | MANIFEST_CALLBACK_RECONFIGURE |
                                            MANIFEST_CALLBACK_SAVE_STATE | MANIFEST_CALLBACK_LOAD_STATE);
    assert_int_equal(plugin->upgrade, MANIFEST_UPGRADE_HANDOVER);
    assert_int_equal(plugin->activate, MANIFEST_ACTIVATE_CALL);
    assert_string_equal(plugin->http_prefix, "/greet");
    assert_int_equal(plugin->state.writes, 3);
    assert_int_equal(plugin->state.read_count, 2);
    assert_int_equal(plugin->state.reads[0], 2);
    assert_int_equal(plugin->proto_count, 2);
    assert_string_equal(plugin->protos[1], "example/v1/more.proto");
    assert_string_equal(plugin->interface, "berth_greeter");
    assert_int_equal(plugin->config_version, 3);
    assert_int_equal(plugin->rename_count, 3);
    assert_null(plugin->renames[1].to);
    assert_false(plugin->renames[0].is_wrapped);
    assert_true(plugin->renames[2].is_wrapped);
    assert_int_equal(plugin->leave_count, 1);
    assert_int_equal(plugin->gives_to_count, 1);
    assert_string_equal(plugin->gives_to[0], "io.example.v1.new");
    assert_true(plugin->migrates_listed);
    assert_int_equal(plugin->formerly_count, 2);
    assert_string_equal(plugin->formerly[0], "cri");
    assert_string_equal(plugin->formerly[1], "io.example.v1.old");
    assert_int_equal(plugin->renames[0].before_version, 2);
    assert_string_equal(plugin->renames[0].to, "texts.word");
    assert_int_equal(plugin->config->field_count, 1);
    assert_int_equal(plugin->carry_count, 2);
    assert_string_equal(plugin->carries[0], "quic");
    assert_int_equal(plugin->skip_unless_count, 2);
    assert_string_equal(plugin->skip_unless[1], "env:GREETER_ON");
    manifest_destroy(manifest);
}

static void what_may_be_left_out_is_empty(void **state)
{
    struct manifest *manifest = parse_good(HEAD "{type: io.example.v1, id: a}\n");
    const struct manifest_plugin *plugin = &manifest->plugins[0];

    assert_null(manifest->description);
    assert_null(plugin->description);
    assert_null(plugin->interface);
    assert_int_equal(plugin->requirement_count + plugin->want_count + plugin->service_count, 0);
    assert_int_equal(plugin->callbacks, 0);
    assert_int_equal(plugin->upgrade, MANIFEST_UPGRADE_EXCLUSIVE);
    assert_int_equal(plugin->activate, MANIFEST_ACTIVATE_ANY);
    assert_null(plugin->http_prefix);
    assert_int_equal(plugin->state.writes, 0);
    assert_int_equal(plugin->state.read_count, 0);
    assert_int_equal(plugin->proto_count, 0);
    assert_int_equal(plugin->config_version, 1);
    assert_non_null(plugin->config);
    assert_int_equal(plugin->config->field_count, 0);
    manifest_destroy(manifest);
}

static void a_service_goes_over_grpc_alone_unless_its_plugin_says_more(void **state)
{
    struct manifest *manifest = parse_good(PLUGIN "services: {a.B: {C: unary}, a.D: {C: unary}}\n"
                                                  "    transports: {a.D: [ttrpc]}\n");
    const struct manifest_service *services = manifest->plugins[0].services;

    assert_int_equal(services[0].transport_count, 1);
    assert_string_equal(services[0].transports[0], "grpc");
    assert_int_equal(services[1].transport_count, 1);
    assert_string_equal(services[1].transports[0], "ttrpc");
    manifest_destroy(manifest);
}

static void the_hash_is_fnv_1a_of_the_text(void **state)
{
    struct manifest *manifest = parse_good(HEAD "{type: io.example.v1, id: a}\n");
    const char *text = HEAD "{type: io.example.v1, id: a}\n";

    assert_true(manifest_hash("", 0) == 0xcbf29ce484222325u);
    assert_true(manifest_hash("foobar", 6) == 0x85944171f73967e8u);
    assert_true(manifest->hash == manifest_hash(text, strlen(text)));
    manifest_destroy(manifest);
}

static const struct wrong_case {
    const char *text;
    /** What one of the lines must have, with its place. */
    const char *line;
} wrong_cases[] = {
    {"", "/p/m.so: note: the manifest is empty"},
    {"- a\n", "/p/m.so: note:1:1: a manifest must be a map, not a list"},
    {"version: 1\nplugins: [{type: io.example.v1, id: a}]\n", "note:1:1: a manifest has no module"},
    {"module: m\nplugins: [{type: io.example.v1, id: a}]\n", "note:1:1: a manifest has no version"},
    {"module: m\nversion: 1\n", "note:1:1: a manifest has no plugins"},
    {"module: m\nversion: 1\nplugins: []\n", "note:3:10: plugins: 0 listed, expected 1 to 256"},
    {"module: m\nversion: 1\nplugins: {}\n", "note:3:10: plugins must be a list, not a map"},
    {"module: m n\nversion: 1\nplugins: []\n", "note:1:9: module: \"m n\" is not a module name"},
    {"module: m\nversion: ''\nplugins: []\n", "note:2:10: version is empty"},
    {"module: m\nversion: [1]\nplugins: []\n", "note:2:10: version must be a text, not a list"},
    {"modul: m\nversion: 1\nplugins: []\n",
     "note:1:1: a manifest has no key \"modul\" (did you mean \"module\"?)"},
    {"module: m\nmodule: n\nversion: 1\nplugins: []\n", "note:2:1: "},
    {HEAD "a\n", "note:4:5: a plugin must be a map, not a text"},
    {HEAD "id: a\n", "note:4:5: a plugin has no type"},
    {HEAD "type: io.example.v1\n", "note:4:5: a plugin has no id"},
    {HEAD "{type: example.v1, id: a}\n", "note:4:12: type: \"example.v1\" is not a type"},
    {HEAD "{type: io.example, id: a}\n", "note:4:12: type: \"io.example\" is not a type"},
    {HEAD "{type: io.example.v1, id: a.b}\n", "note:4:31: id: \"a.b\" is not an id"},
    {HEAD "{type: io.example.v1, id: a}\n  - {type: io.example.v1, id: a}\n",
     "note:5:5: io.example.v1.a is already registered at line 4"},
    {PLUGIN "require: [io.other.store.v1]\n",
     "note:6:5: a plugin has no key \"require\" (did you mean \"requires\"?)"},
    {PLUGIN "requires: io.other.store.v1\n", "note:6:15: requires must be a list, not a text"},
    {PLUGIN "requires: [store]\n", "note:6:16: \"store\" is neither a type"},
    {PLUGIN "wants: [[a]]\n", "note:6:13: a requirement must be a text, not a list"},
    {PLUGIN "services: [a.B]\n", "note:6:15: services must be a map, not a list"},
    {PLUGIN "services: {a.B: unary}\n", "note:6:21: a service must be a map, not a text"},
    {PLUGIN "services: {a..B: {C: unary}}\n", "note:6:16: \"a..B\" is not a service name"},
    {PLUGIN "services: {a.B: {C-D: unary}}\n", "note:6:22: \"C-D\" is not a method name"},
    {PLUGIN "services: {a.B: {C: streaming}}\n",
     "note:6:25: \"streaming\" is not a kind of method: use unary"},
    {PLUGIN "services: {a.B: {C: unary}}\n    transports: {a.b: [tcp]}\n",
     "note:7:18: transports: \"a.b\" is not one of the services"},
    {PLUGIN "transports: {a.B: [tcp]}\n", "note:6:18: transports: \"a.B\" is not one of the services"},
    {PLUGIN "services: {a.B: {C: unary}}\n    transports: {a.B: tcp}\n",
     "note:7:23: the transports of a service must be a list, not a text"},
    {PLUGIN "services: {a.B: {C: unary}}\n    transports: {a.B: [tcp, TCP]}\n",
     "note:7:29: \"TCP\" is not a transport name"},
    {PLUGIN "services: {a.B: {C: unary}}\n    transports: {a.B: [tcp, tcp]}\n",
     "note:7:29: the transport tcp is named twice"},
    {PLUGIN "services: {a.B: {C: unary}}\n    transports: {a.B: []}\n", "note:7:23: a.B has no transport"},
    {PLUGIN "services: {a.B: {C: unary}}\n    transports: {a.B: [[a], [b]]}\n",
     "note:7:24: a transport must be a text, not a list"},
    {PLUGIN "services: {a.B: {C: unary}}\n    transports: [tcp]\n",
     "note:7:17: transports must be a map, not a list"},
    {PLUGIN "protos: greeter.proto\n", "note:6:13: protos must be a list, not a text"},
    {PLUGIN "protos: [a.proto, ../b.proto]\n",
     "note:6:23: protos: \"../b.proto\" is not a .proto path as passed to protoc"},
    {PLUGIN "protos: [a.txt]\n", "note:6:14: protos: \"a.txt\" is not a .proto path"},
    {PLUGIN "callbacks: [prepair]\n",
     "note:6:17: callbacks: unknown callback \"prepair\" (did you mean \"prepare\"?)"},
    {PLUGIN "callbacks: [close, close]\n", "note:6:24: close is named twice"},
    {PLUGIN "callbacks: [discard]\n", "note:6:16: discard frees what prepare made"},
    {PLUGIN "interface: 9th\n", "note:6:16: interface: \"9th\" is not the name of a C struct"},
    {PLUGIN "config_version: 0\n", "note:6:21: config_version: \"0\" is not a number from 1"},
    {PLUGIN "config_version: 99999999999999999999\n",
     "config_version: \"99999999999999999999\" is not a number"},
    {PLUGIN "renames: [{before: 2, from: a, to: b}]\n",
     "note:6:24: before: 2 matches no older version: config_version is 1"},
    {PLUGIN "config_version: 2\n    renames: [{before: 2, from: a}]\n", "a rename has no to"},
    {PLUGIN "formerly: [cri, a b]\n", "note:6:21: formerly: \"a b\" is not a section name"},
    {PLUGIN "formerly: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q]\n", "17 names are too many"},
    {PLUGIN "renames: [{from: a, to: b}]\n", "note:6:15: a rename has no before"},
    {PLUGIN "config_version: 2\n    renames: [{before: 2, from: a..b, to: b}]\n",
     "note:7:33: from: \"a..b\" is not a setting name"},
    {PLUGIN "config_version: 2\n    renames: [{before: 2, from: '*.a', to: '*.b'}]\n",
     "\"*.a\" is not a setting name"},
    {PLUGIN "config_version: 2\n    renames: [{before: 2, from: 'a.*', to: 'b.*'}]\n",
     "\"a.*\" is not a setting name"},
    {PLUGIN "config_version: 2\n    renames: [{before: 2, from: 'a.*b.c', to: a}]\n",
     "\"a.*b.c\" is not a setting"},
    {PLUGIN "config_version: 2\n    renames: [{before: 2, from: 'a.*.b', to: c}]\n",
     "note:7:15: from has 1 \"*\" and to has 0: each key must have its place in both"},
    {PLUGIN "config_version: 2\n    renames: [{before: 2, from: a, to: b, wrap: 1}]\n",
     "wrap: \"1\" is neither true nor false"},
    {PLUGIN "config_version: 2\n    callbacks: [migrate]\n    renames: [{before: 2, from: a, wrap: true}]\n",
     "wrap: a rename without to leaves the setting to migrate; remove wrap"},
    {PLUGIN "gives_to: [cri]\n", "note:6:16: gives_to: \"cri\" is not the URI of a plugin"},
    {PLUGIN "gives_to: [io.example.v1.a]\n", "gives_to: io.example.v1.a is the plugin's own URI"},
    {PLUGIN "leaves: [a]\n", "note:6:14: leaves requires former names under formerly"},
    {PLUGIN "formerly: [b]\n    leaves: ['*']\n", "leaves: \"*\" is not a setting name"},
    {PLUGIN "migrates: sometimes\n", "note:6:15: migrates: \"sometimes\" is neither all nor listed"},
    {PLUGIN "upgrade: besides\n",
     "note:6:14: upgrade: \"besides\" is not a mode: use beside, handover or exclusive"},
    {PLUGIN "activate: later\n", "note:6:15: activate: \"later\" is neither start nor call"},
    {PLUGIN "http_prefix: hello\n", "note:6:18: http_prefix: \"hello\" is not a path prefix such as /hello"},
    {PLUGIN "callbacks: [save_state]\n",
     "note:6:16: save_state and load_state require the versions they write and read"},
    {PLUGIN "state: {writes: 1}\n", "note:6:12: state requires save_state and load_state under callbacks"},
    {STATE "state: {writes: 1}\n    upgrade: beside\n",
     "note:7:12: state: with upgrade: beside, both generations run at once"},
    {STATE "state: {reads: [1]}\n", "note:7:12: state requires writes"},
    {STATE "state: {writes: none}\n", "note:7:21: state.writes: \"none\" is not a number"},
    {STATE "state: {writes: 3, reads: [1, 2]}\n", "note:7:31: state.reads lacks 3, the version under writes"},
    {STATE "state: {writes: 3, reads: [x, 3]}\n", "note:7:32: a version under state.reads: \"x\" is not"},
    {STATE "state: {writes: 1, raeds: [1]}\n",
     "note:7:24: state has no key \"raeds\" (did you mean \"reads\"?)"},
    {PLUGIN "migrates: listed\n", "note:6:15: migrates: listed requires migrate under callbacks"},
    {"module: m\nversion: 1\nneeds: [skip_unless, holograms]\nplugins: {}\n",
     "note:3:22: needs \"holograms\", which this version of berth does not understand: upgrade berth"},
    {"module: m\nversion: 1\nneeds: prepare\nplugins: []\n", "note:3:8: needs must be a list, not a text"},
    {PLUGIN "config: {a: {type: int}}\n    skip_unless: [b]\n",
     "note:7:19: skip_unless: \"b\" is not a setting under config (for an environment variable write env:"},
    {PLUGIN "config: {a: {type: int}}\n    skip_unless: [a.b]\n", "skip_unless: \"a.b\" is not a setting"},
    {PLUGIN "skip_unless: [\"env:A-B\"]\n", "skip_unless: \"env:A-B\" does not name an environment variable"},
    {PLUGIN "skip_unless: [\"env:A|\"]\n", "skip_unless: \"env:A|\" does not name an environment variable"},
    {PLUGIN "skip_unless: [\"env:A||B\"]\n", "skip_unless: \"env:A||B\" does not name an environment"},
    {PLUGIN "skip_unless: a\n", "note:6:18: skip_unless must be a list, not a text"},
    {PLUGIN "carries: [TCP]\n", "note:6:15: \"TCP\" is not a transport name"},
    {PLUGIN "config: [a]\n", "note:6:13: config must be a map, not a list"},
    {PLUGIN "config: {a: {type: strin}}\n", "note:6:24: "},
    {"module: &m m\nversion: 1\nplugins: []\n", "note:1:"},
    {"module: m\n---\nmodule: n\n", "note:2:"},
};

static bool says(const struct config_diagnostics *diagnostics, const char *line)
{
    bool found = false;

    for (size_t i = 0; i < diagnostics->count && !found; i++) {
        char *text = config_diagnostic_format(&diagnostics->items[i]);

        found = strstr(text, line) != NULL;
        free(text);
    }
    return found;
}

static void a_wrong_manifest_is_refused_with_its_place(void **state)
{
    for (size_t i = 0; i < sizeof(wrong_cases) / sizeof(wrong_cases[0]); i++) {
        const struct wrong_case *wrong = &wrong_cases[i];
        struct config_diagnostics diagnostics = {0};
        struct manifest *manifest = parse(wrong->text, &diagnostics);

        if (manifest != NULL || !says(&diagnostics, wrong->line)) {
            for (size_t j = 0; j < diagnostics.count; j++)
                print_error("%u:%u: %s\n", diagnostics.items[j].mark.line, diagnostics.items[j].mark.column,
                            diagnostics.items[j].message);
            fail_msg("expected \"%s\" of:\n%s", wrong->line, wrong->text);
        }
        config_diagnostics_finish(&diagnostics);
    }
}

static void all_that_is_wrong_is_said_at_once(void **state)
{
    struct config_diagnostics diagnostics = {0};

    assert_null(parse(PLUGIN "wans: []\n    interface: 9th\n    requires: [a, b]\n", &diagnostics));
    assert_int_equal(diagnostics.error_count, 4);
    config_diagnostics_finish(&diagnostics);
}

/* What a newer berth-sdk may have written: a module of it runs on, and the host says what it ignores. */
static void what_is_not_known_is_a_warning_where_that_is_forgiven(void **state)
{
    static const char text[] = "module: m\nversion: 1.0.0\nhome: https://example.io\nplugins:\n"
                               "  - type: io.example.v1\n    id: a\n    colour: red\n"
                               "    callbacks: [init2, close]\n"
                               "    config:\n"
                               "      a: {type: string, shape: round, default: x}\n"
                               "      b: {type: string, format: mac_address}\n";
    static const char *const lines[] = {
        "note:3:1: a manifest has no key \"home\"; ignoring it",
        "note:7:5: a plugin has no key \"colour\"; ignoring it",
        ("note:8:17: callbacks: unknown callback \"init2\" (use prepare, discard, serve, drain, close, "
         "migrate, check, reconfigure, save_state or load_state); ignoring it"),
        "note:10:25: a: a setting has no key \"shape\"; ignoring it",
        "note:11:33: b: type string has no format \"mac_address\"; ignoring it",
    };
    struct config_diagnostics strict = {0}, forgiving = {.forgives_unknown = true};
    struct manifest *manifest = parse(text, &forgiving);

    assert_null(parse(text, &strict));
    assert_int_equal(strict.error_count, 5);
    assert_non_null(manifest);
    assert_int_equal(forgiving.error_count, 0);
    assert_int_equal(forgiving.count, 5);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (!says(&forgiving, lines[i]))
            fail_msg("nothing says \"%s\"", lines[i]);
    assert_int_equal(manifest->plugins[0].callbacks, MANIFEST_CALLBACK_CLOSE);
    assert_int_equal(manifest->plugins[0].config->field_count, 2);
    manifest_destroy(manifest);
    config_diagnostics_finish(&strict);
    config_diagnostics_finish(&forgiving);
}

/* Whatever else looks wrong may be what is not understood. */
static void what_a_module_needs_is_asked_before_all_else(void **state)
{
    struct config_diagnostics diagnostics = {.forgives_unknown = true};

    assert_null(parse("module: m\nversion: 1\nneeds: [holograms]\nplugins: {a: 1}\n", &diagnostics));
    assert_int_equal(diagnostics.count, 1);
    assert_true(says(&diagnostics, "needs \"holograms\""));
    config_diagnostics_finish(&diagnostics);
}

static void a_manifest_cut_anywhere_is_parsed_or_refused(void **state)
{
    static const char text[] = PLUGIN
        "services: {a.B: {C: unary}}\n    transports: {a.B: [tcp]}\n    config: {d: {type: int, max: 3}}\n"
        "    config_version: 2\n    renames: [{before: 2, from: a, to: d}]\n";

    for (size_t length = 0; length < sizeof(text); length++) {
        struct config_diagnostics diagnostics = {0};
        struct manifest *manifest = manifest_parse("/p/m.so", text, length, &diagnostics);

        assert_true((manifest == NULL) == (diagnostics.error_count > 0));
        manifest_destroy(manifest);
        config_diagnostics_finish(&diagnostics);
    }
}

/* The module's hash is that of the note, and a host that refuses anchors reads the same from it. */
static void anchors_of_a_source_are_expanded_in_its_note(void **state)
{
    static const char text[] =
        "module: m\nversion: 1.0.0\nplugins:\n  - type: io.example.v1\n    id: a\n    config:\n"
        "      <<: &shared {size: {type: int, default: 4, doc: 'Size: a'}, text: {type: string, default: "
        "'4'}}\n"
        "  - {type: io.example.v1, id: b, config: {size: {type: int, max: 3}, <<: *shared}}\n";
    struct config_diagnostics diagnostics = {0};
    char *note;
    struct manifest *source = manifest_parse_source("plugin.yaml", text, strlen(text), &diagnostics, &note);
    struct manifest *read;

    assert_non_null(source);
    read = parse(note, &diagnostics);
    assert_non_null(read);
    assert_int_equal(diagnostics.count, 0);
    assert_true(source->hash == read->hash);
    assert_int_equal(read->plugin_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct schema *config = read->plugins[i].config;

        assert_int_equal(config->field_count, 2);
        assert_string_equal(config->fields[0]->name, "size");
        assert_string_equal(config->fields[1]->name, "text");
        assert_true(config->fields[0]->has_max == (i == 1));
    }
    manifest_destroy(source);
    manifest_destroy(read);
    free(note);
}

static void a_source_without_anchors_is_its_note(void **state)
{
    static const char text[] = "# A comment.\n" PLUGIN;
    struct config_diagnostics diagnostics = {0};
    char *note;
    struct manifest *source = manifest_parse_source("plugin.yaml", text, strlen(text), &diagnostics, &note);

    assert_non_null(source);
    assert_string_equal(note, text);
    free(note);
    manifest_destroy(source);
}

static void types_are_told_from_other_names(void **state)
{
    static const struct {
        const char *name;
        bool is_type;
    } cases[] = {
        {"io.containerd.grpc.v1", true},
        {"io.containerd.image-verifier.v1", true},
        {"io.example.v12", true},
        {"io.v1", false},
        {"v1", false},
        {"", false},
        {".io.example.v1", false},
        {"io..example.v1", false},
        {"io.example.v1.", false},
        {"io.example.v0", false},
        {"io.example.v01", false},
        {"io.example.v", false},
        {"io.example.V1", false},
        {"io.example.v1.v2", false},
        {"io.exa mple.v1", false},
        {"io.-example.v1", false},
        {"*", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (manifest_type_is_valid(cases[i].name) != cases[i].is_type)
            fail_msg("%s", cases[i].name);
    }
}

static void a_uri_is_split_behind_its_version(void **state)
{
    size_t length = 0;

    assert_true(manifest_uri_split("io.containerd.grpc.v1.greeter", &length));
    assert_int_equal(length, strlen("io.containerd.grpc.v1"));
    assert_true(manifest_uri_split("io.example.v1.v2", &length));
    assert_int_equal(length, strlen("io.example.v1"));
    assert_false(manifest_uri_split("io.containerd.grpc.v1", &length));
    assert_false(manifest_uri_split("io.containerd.grpc.v1.", &length));
    assert_false(manifest_uri_split("greeter", &length));
    assert_false(manifest_uri_split("", &length));
}

static void an_id_has_at_most_76_bytes(void **state)
{
    char id[78];

    memset(id, 'x', 77);
    id[77] = '\0';
    assert_false(manifest_id_is_valid(id));
    id[76] = '\0';
    assert_true(manifest_id_is_valid(id));
    assert_true(manifest_id_is_valid("containers-service_2"));
    assert_false(manifest_id_is_valid(""));
    assert_false(manifest_id_is_valid("a.b"));
    assert_false(manifest_id_is_valid("a/b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(a_plugin_reads_the_state_it_lists),
        cmocka_unit_test(what_may_be_left_out_is_empty),
        cmocka_unit_test(a_service_goes_over_grpc_alone_unless_its_plugin_says_more),
        cmocka_unit_test(the_hash_is_fnv_1a_of_the_text),
        cmocka_unit_test(a_wrong_manifest_is_refused_with_its_place),
        cmocka_unit_test(all_that_is_wrong_is_said_at_once),
        cmocka_unit_test(what_is_not_known_is_a_warning_where_that_is_forgiven),
        cmocka_unit_test(what_a_module_needs_is_asked_before_all_else),
        cmocka_unit_test(a_manifest_cut_anywhere_is_parsed_or_refused),
        cmocka_unit_test(anchors_of_a_source_are_expanded_in_its_note),
        cmocka_unit_test(a_source_without_anchors_is_its_note),
        cmocka_unit_test(types_are_told_from_other_names),
        cmocka_unit_test(a_uri_is_split_behind_its_version),
        cmocka_unit_test(an_id_has_at_most_76_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
