/* SPDX-License-Identifier: Apache-2.0 */
/* Sections against schemas: what is taken, what is refused and in which words. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <config/text/diagnostics.h>
#include <config/schema/schema.h>
#include <config/schema/value.h>

/* A schema, a section, and what came of them. */
struct checked {
    struct config_tree *schema_tree;
    struct config_tree *tree;
    struct schema *schema;
    struct config_values *values;
    struct config_diagnostics diagnostics;
};

static struct config_tree *read_yaml(const char *name, const char *text,
                                     struct config_diagnostics *diagnostics)
{
    return config_yaml_read(name, text, strlen(text), &config_limits_file, diagnostics);
}

static struct checked check_with(const char *schema, const char *section,
                                 const struct config_check_options *options)
{
    struct checked checked = {0};

    checked.schema_tree = read_yaml("module.so", schema, &checked.diagnostics);
    assert_non_null(checked.schema_tree);
    checked.schema = schema_create(config_tree_root(checked.schema_tree), &checked.diagnostics);
    assert_non_null(checked.schema);
    if (section != NULL) {
        checked.tree = read_yaml("/etc/berth/berthd.yaml", section, &checked.diagnostics);
        assert_non_null(checked.tree);
    }
    checked.values =
        config_values_create(checked.schema, checked.tree == NULL ? NULL : config_tree_root(checked.tree),
                             options, &checked.diagnostics);
    return checked;
}

static struct checked check(const char *schema, const char *section)
{
    return check_with(schema, section, &(struct config_check_options){.section = "T.a"});
}

static void finish(struct checked *checked)
{
    config_values_destroy(checked->values);
    schema_destroy(checked->schema);
    config_tree_destroy(checked->tree);
    config_tree_destroy(checked->schema_tree);
    config_diagnostics_finish(&checked->diagnostics);
}

static const struct berth_value *find(const struct checked *checked, const char *key)
{
    const struct berth_settings *settings = config_values_settings(checked->values);

    return settings->find(settings->root, key);
}

static void assert_refused(const char *schema, const char *section, const char *line)
{
    struct checked checked = check(schema, section);
    char *message;

    assert_null(checked.values);
    assert_int_equal(checked.diagnostics.error_count, 1);
    message = config_diagnostic_format(&checked.diagnostics.items[0]);
    assert_string_equal(message, line);
    free(message);
    finish(&checked);
}

static void every_kind_is_read(void **state)
{
    struct checked checked =
        check("text: {type: string}\n"
              "flag: {type: bool}\n"
              "number: {type: int}\n"
              "mode: {type: int}\n"
              "ratio: {type: float}\n"
              "wait: {type: duration}\n"
              "size: {type: bytes}\n"
              "file: {type: path}\n"
              "level: {type: enum, values: [low, high]}\n"
              "names: {type: list, items: {type: string}}\n"
              "limits: {type: map, items: {type: int}}\n"
              "tls: {type: object, fields: {on: {type: bool, default: true}}}\n",
              "text: 12\nflag: true\nnumber: -3\nmode: 0o660\nratio: 2.5e1\nwait: 1m30s\n"
              "size: 4KiB\nfile: certs/ca.pem\nlevel: high\nnames: [a, b]\n"
              "limits: {x: 1, y: 2}\ntls: {}\n");
    const struct berth_settings *settings;
    const char *key;

    assert_non_null(checked.values);
    settings = config_values_settings(checked.values);
    assert_string_equal(settings->string(find(&checked, "text")), "12");
    assert_true(settings->boolean(find(&checked, "flag")));
    assert_int_equal(settings->integer(find(&checked, "number")), -3);
    assert_int_equal(settings->integer(find(&checked, "mode")), 0660);
    assert_true(settings->number(find(&checked, "ratio")) == 25.0);
    assert_int_equal(settings->integer(find(&checked, "wait")), 90000000000);
    assert_int_equal(settings->integer(find(&checked, "size")), 4096);
    assert_string_equal(settings->string(find(&checked, "file")), "/etc/berth/certs/ca.pem");
    assert_string_equal(settings->string(find(&checked, "level")), "high");
    assert_int_equal(settings->count(find(&checked, "names")), 2);
    assert_string_equal(settings->string(settings->at(find(&checked, "names"), 1, NULL)), "b");
    assert_int_equal(settings->integer(settings->at(find(&checked, "limits"), 1, &key)), 2);
    assert_string_equal(key, "y");
    assert_true(settings->boolean(settings->find(find(&checked, "tls"), "on")));
    assert_null(settings->at(find(&checked, "names"), 2, NULL));
    finish(&checked);
}

static void anything_is_read_as_it_is_written(void **state)
{
    struct checked checked = check("options: {type: map, items: {type: any}}\nextra: {type: any}\n"
                                   "more: {type: any, default: 7}\n",
                                   "options:\n"
                                   "  on: true\n"
                                   "  quoted: \"true\"\n"
                                   "  count: -3\n"
                                   "  ratio: 0.5\n"
                                   "  word: 1m\n"
                                   "  none: \"\"\n"
                                   "  list: [1, {deep: [x, 2]}]\n");
    const struct berth_settings *settings = config_values_settings(checked.values);
    const struct berth_value *options = find(&checked, "options");
    const struct berth_value *list = settings->find(options, "list");
    const struct berth_value *deep = settings->find(settings->at(list, 1, NULL), "deep");

    assert_true(settings->boolean(settings->find(options, "on")));
    assert_string_equal(settings->string(settings->find(options, "quoted")), "true");
    assert_int_equal(settings->integer(settings->find(options, "count")), -3);
    assert_true(settings->number(settings->find(options, "ratio")) == 0.5);
    assert_string_equal(settings->string(settings->find(options, "word")), "1m");
    assert_string_equal(settings->string(settings->find(options, "none")), "");
    assert_int_equal(settings->count(list), 2);
    assert_int_equal(settings->integer(settings->at(list, 0, NULL)), 1);
    assert_string_equal(settings->string(settings->at(deep, 0, NULL)), "x");
    assert_int_equal(settings->integer(settings->at(deep, 1, NULL)), 2);
    assert_int_equal(settings->kind(find(&checked, "extra")), BERTH_VALUE_NONE);
    assert_int_equal(settings->integer(find(&checked, "more")), 7);
    finish(&checked);
}

static void a_default_that_merges_stays_below_what_is_set(void **state)
{
    struct checked checked = check(
        "runtimes: {type: map, merge: true, default: {a: {kind: x, options: {one: 1, two: 2}}, b: {}}, "
        "items: "
        "{type: object, fields: {kind: {type: string, default: y}, options: {type: map, items: {type: any}, "
        "default: {}}}}}\n",
        "runtimes: {c: {}, a: {options: {two: 3, three: 4}}}\n");
    const struct berth_settings *settings = config_values_settings(checked.values);
    const struct berth_value *runtimes = find(&checked, "runtimes");
    const struct berth_value *a = settings->find(runtimes, "a");
    const struct berth_value *options = settings->find(a, "options");

    assert_int_equal(settings->count(runtimes), 3);
    assert_string_equal(settings->string(settings->find(a, "kind")), "x");
    assert_string_equal(settings->where(settings->find(a, "kind")), "default");
    assert_string_equal(settings->where(a), "/etc/berth/berthd.yaml:1:22");
    assert_int_equal(settings->count(options), 3);
    assert_int_equal(settings->integer(settings->find(options, "one")), 1);
    assert_string_equal(settings->where(settings->find(options, "one")), "default");
    assert_int_equal(settings->integer(settings->find(options, "two")), 3);
    assert_int_equal(settings->integer(settings->find(options, "three")), 4);
    assert_string_equal(settings->string(settings->find(settings->find(runtimes, "b"), "kind")), "y");
    assert_string_equal(settings->where(settings->find(runtimes, "b")), "default");
    assert_string_equal(settings->string(settings->find(settings->find(runtimes, "c"), "kind")), "y");
    finish(&checked);
}

static void what_replaces_a_merged_default_is_checked(void **state)
{
    static const char schema[] = "m: {type: map, merge: true, default: {a: 1}, items: {type: int}}\n";

    assert_refused(schema, "m: {a: x}",
                   "/etc/berth/berthd.yaml:1:8: T.a: m.a: \"x\" is not an integer "
                   "(use digits, unquoted)");
    assert_refused(schema, "m: [1]", "/etc/berth/berthd.yaml:1:4: T.a: m: expected map, found a list");
    assert_refused("a: {type: any}\n", "a:\n",
                   "/etc/berth/berthd.yaml:1:3: T.a: a: no value; set one (any), or remove the key to use "
                   "the default");
}

static void defaults_complete_a_section_that_is_not_there(void **state)
{
    struct checked checked = check("greeting: {type: string, default: Hello}\n"
                                   "size: {type: bytes, default: 4KiB}\n"
                                   "nothing: {type: string}\n"
                                   "names: {type: list, items: {type: string}, default: [a]}\n"
                                   "tls: {type: object, fields: {on: {type: bool, default: true}}}\n"
                                   "key: {type: object, fields: {file: {type: path, required: true}}}\n",
                                   NULL);
    const struct berth_settings *settings = config_values_settings(checked.values);

    assert_string_equal(settings->string(find(&checked, "greeting")), "Hello");
    assert_string_equal(settings->where(find(&checked, "greeting")), "default");
    assert_int_equal(settings->integer(find(&checked, "size")), 4096);
    assert_int_equal(settings->kind(find(&checked, "nothing")), BERTH_VALUE_NONE);
    assert_int_equal(settings->count(find(&checked, "names")), 1);
    assert_true(settings->boolean(settings->find(find(&checked, "tls"), "on")));
    assert_int_equal(settings->kind(find(&checked, "key")), BERTH_VALUE_NONE);
    finish(&checked);
}

static void a_value_says_where_it_was_set(void **state)
{
    struct checked checked = check("a: {type: int, default: 1}\nb: {type: int, default: 2}\n", "\nb:  7\n");
    const struct berth_settings *settings = config_values_settings(checked.values);

    assert_string_equal(settings->where(find(&checked, "a")), "default");
    assert_string_equal(settings->where(find(&checked, "b")), "/etc/berth/berthd.yaml:2:5");
    finish(&checked);
}

static void each_mistake_has_its_sentence(void **state)
{
    static const struct {
        const char *schema, *section, *line;
    } cases[] = {
        {"map_size: {type: bytes}", "map_size: 12 apples",
         "/etc/berth/berthd.yaml:1:11: T.a: map_size: \"12 apples\" is not a size (use a form such as 64MiB, "
         "10MB or 512)"},
        {"greeting: {type: string}", "greting: Hi",
         "/etc/berth/berthd.yaml:1:1: T.a: unknown setting \"greting\" (did you mean \"greeting\"?)"},
        {"greeting: {type: string}", "unheard: Hi",
         "/etc/berth/berthd.yaml:1:1: T.a: unknown setting \"unheard\""},
        {"flag: {type: bool}", "flag: yes",
         "/etc/berth/berthd.yaml:1:7: T.a: flag: \"yes\" is not a boolean (use true or false, unquoted)"},
        {"n: {type: int}", "n: \"1\"",
         "/etc/berth/berthd.yaml:1:4: T.a: n: \"1\" is not an integer (use digits, unquoted)"},
        {"n: {type: int}", "n: 0660",
         "/etc/berth/berthd.yaml:1:4: T.a: n: \"0660\" is not an integer: drop the leading 0, or use 0o… for "
         "octal"},
        {"n: {type: int}", "n: 9223372036854775808",
         "/etc/berth/berthd.yaml:1:4: T.a: n: \"9223372036854775808\" is not an integer that fits 64 bits"},
        {"n: {type: int, max: 5}", "n: 6",
         "/etc/berth/berthd.yaml:1:4: T.a: n: \"6\" is too large: at most 5"},
        {"w: {type: duration, min: 1s}", "w: 10ms",
         "/etc/berth/berthd.yaml:1:4: T.a: w: \"10ms\" is too small: at least 1s"},
        {"s: {type: bytes, max: 1MiB}", "s: 2MiB",
         "/etc/berth/berthd.yaml:1:4: T.a: s: \"2MiB\" is too large: at most 1MiB"},
        {"f: {type: float, min: 0.5}", "f: 0.25",
         "/etc/berth/berthd.yaml:1:4: T.a: f: \"0.25\" is too small: at least 0.5"},
        {"f: {type: float}", "f: 1e999",
         "/etc/berth/berthd.yaml:1:4: T.a: f: \"1e999\" is not a number within range: too large"},
        {"s: {type: string, max: 3}", "s: four",
         "/etc/berth/berthd.yaml:1:4: T.a: s: 4 bytes long; at most 3"},
        {"s: {type: string, pattern: \"[a-z]+\"}", "s: abc1",
         "/etc/berth/berthd.yaml:1:4: T.a: s: \"abc1\" does not match the pattern [a-z]+"},
        {"l: {type: list, items: {type: int}, min: 1}", "l: []",
         "/etc/berth/berthd.yaml:1:4: T.a: l: 0 items; at least 1"},
        {"e: {type: enum, values: [debug, info]}", "e: inof",
         "/etc/berth/berthd.yaml:1:4: T.a: e: \"inof\" is not one of: debug, info (did you mean \"info\"?)"},
        {"l: {type: list, items: {type: object, fields: {n: {type: int}}}}", "l: [{n: 1}, {n: x}]",
         "/etc/berth/berthd.yaml:1:17: T.a: l[1].n: \"x\" is not an integer (use digits, unquoted)"},
        {"s: {type: string, pattern: \"[a-z]+\", doc: Letters.}", "s: abc1",
         "/etc/berth/berthd.yaml:1:4: T.a: s: \"abc1\" is not valid here: Letters."},
        {"s: {type: string}", "s: [a]", "/etc/berth/berthd.yaml:1:4: T.a: s: expected string, found a list"},
        {"l: {type: list, items: {type: string}}", "l: a",
         "/etc/berth/berthd.yaml:1:4: T.a: l: expected list, found a single value; write a list as [ONE, "
         "TWO]"},
        {"s: {type: string}", "- s", "/etc/berth/berthd.yaml:1:1: T.a: expected object, found a list"},
        {"s: {type: string}", "s:",
         "/etc/berth/berthd.yaml:1:3: T.a: s: no value; set one (string), or remove the key to use the "
         "default"},
        {"s: {type: string, required: true}\nt: {type: int}", "t: 1",
         "/etc/berth/berthd.yaml:1:1: T.a: s: required but not set (string)"},
        {"s: {type: string, required: true}", NULL, "T.a: s: required but not set (string)"},
        {"p: {type: path}", "p: \"\"",
         "/etc/berth/berthd.yaml:1:4: T.a: p: the path is empty; set one or remove the key"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(cases[i].schema, cases[i].section, cases[i].line);
}

static void addresses_are_taken_apart(void **state)
{
    static const char address[] = "a: {type: string, format: address}";
    static const char host_port[] = "a: {type: string, format: host_port}";
    static const struct {
        const char *schema, *text;
        /** NULL where it is fine. */
        const char *problem;
    } cases[] = {
        {address, "tcp:127.0.0.1:2379", NULL},
        {address, "127.0.0.1:2379", NULL},
        {address, "tcp:etcd-1.example:1", NULL},
        {address, "'[::1]:65535'", NULL},
        {address, "'tcp:[::ffff:127.0.0.1]:2379'", NULL},
        {address, "'[fe80::1%lo]:2379'", NULL},
        {address, "'[fe80::1%no-such]:1'", "with a network interface of this machine after the %"},
        {address, "unix:/run/x.sock", NULL},
        {address, "/run/x.sock", NULL},
        {host_port, "127.0.0.1:0", NULL},
        {host_port, "localhost:50051", NULL},
        {address, "127.0.0.1:0", "port 0 is out of range (1 to 65535)"},
        {address, "tcp:etcd:99999", "port 99999 is out of range (1 to 65535)"},
        {host_port, "0.0.0.0:65536", "port 65536 is out of range (0 to 65535)"},
        {host_port, "0.0.0.0:99999999999999999999", "port 99999999999999999999 is out of range"},
        {host_port, "127.0.0.1:http", "\"http\" is not a port number"},
        {host_port, "'127.0.0.1:'", "\"\" is not a port number"},
        {host_port, "127.0.0.1", "has no port (try 127.0.0.1:50051)"},
        {host_port, "'[::1]'", "has no port (try [::1]:50051)"},
        {host_port, "'::1:50051'", "an IPv6 address is written in brackets"},
        {host_port, "'[::zz]:1'", "is not an IPv6 address in brackets"},
        {host_port, "'[]:1'", "is not an IPv6 address in brackets"},
        {host_port, "':50051'", "has no host before the port (try 127.0.0.1:50051)"},
        {host_port, "tcp:127.0.0.1:1", NULL},
        {host_port, "'[::1%lo]:1'", NULL},
        {host_port, "'*:50051'", "every address of this machine is written 0.0.0.0:50051, or [::]:50051"},
        {host_port, "example.com:1", "is not an IP address and port (try 127.0.0.1:50051"},
        {host_port, "a b:1", "' ' is not part of a host name"},
        {address, "http://etcd:2379", "is a URL; write the host and port alone"},
        {address, "tcp://etcd:2379", NULL},
        {address, "unix:///run/x.sock", NULL},
        {address, "unix://run/x.sock", "the path of a unix socket must be absolute"},
        {address, "etcd", "has no port (try etcd:50051)"},
        {address, "unix:run/x.sock", "the path of a unix socket must be absolute"},
        {address, "''", "the address is empty"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char section[128];
        struct checked checked;

        snprintf(section, sizeof(section), "a: %s", cases[i].text);
        checked = check(cases[i].schema, section);
        if ((checked.values != NULL) != (cases[i].problem == NULL))
            fail_msg("%s: %s", cases[i].text,
                     checked.diagnostics.count > 0 ? checked.diagnostics.items[0].message : "taken");
        if (cases[i].problem != NULL &&
            strstr(checked.diagnostics.items[0].message, cases[i].problem) == NULL)
            fail_msg("%s: %s", cases[i].text, checked.diagnostics.items[0].message);
        finish(&checked);
    }
}

static void the_path_of_a_socket_is_as_long_as_the_kernel_takes(void **state)
{
    static const struct config_check_options options = {.section = "T.a"};
    char section[160];

    for (int length = 107; length <= 108; length++) {
        struct checked checked;

        snprintf(section, sizeof(section), "s: /%0*d", length - 1, 0);
        checked = check_with("s: {type: path, format: socket}", section, &options);
        assert_int_equal(checked.values != NULL, length == 107);
        if (length == 108)
            assert_non_null(strstr(checked.diagnostics.items[0].message,
                                   "is too long for a unix socket: 108 bytes, the kernel allows 107"));
        finish(&checked);
    }
}

/* Only where the check may look: what a dump prints does not depend on it. */
static void files_are_looked_at_where_it_is_asked_for(void **state)
{
    static const struct {
        const char *schema, *section, *problem;
    } cases[] = {
        {"f: {type: path, format: file}", "f: /etc/passwd", NULL},
        {"f: {type: path, format: file}", "f: /no/such.pem",
         "/etc/berth/berthd.yaml:1:4: T.a: f: cannot read /no/such.pem: No such file or directory"},
        {"f: {type: path, format: file}", "f: /etc",
         "/etc/berth/berthd.yaml:1:4: T.a: f: /etc is not a regular file"},
        {"f: {type: path, format: file}", "f: /dev/null",
         "/etc/berth/berthd.yaml:1:4: T.a: f: /dev/null is not a regular file"},
        {"f: {type: path, format: directory}", "f: /etc", NULL},
        {"f: {type: path, format: directory}", "f: /etc/passwd",
         "/etc/berth/berthd.yaml:1:4: T.a: f: /etc/passwd is not a directory"},
        {"f: {type: path}", "f: /no/such", NULL},
        {"f: {type: path, format: file, default: /no/such.pem}", NULL,
         "T.a: f: cannot read /no/such.pem: No such file or directory"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int looks = 0; looks <= 1; looks++) {
            const struct config_check_options options = {.section = "T.a", .look_at_files = looks};
            struct checked checked = check_with(cases[i].schema, cases[i].section, &options);

            assert_int_equal(checked.values == NULL, looks && cases[i].problem != NULL);
            if (checked.values == NULL) {
                char *line = config_diagnostic_format(&checked.diagnostics.items[0]);

                if (cases[i].section != NULL)
                    assert_string_equal(line, cases[i].problem);
                else
                    assert_non_null(strstr(line, cases[i].problem));
                free(line);
            }
            finish(&checked);
        }
    }
}

static void all_mistakes_are_said_at_once(void **state)
{
    struct checked checked =
        check("a: {type: int}\nb: {type: bool}\nc: {type: string, required: true}\n", "a: x\nb: 3\nd: 1\n");

    assert_null(checked.values);
    assert_int_equal(checked.diagnostics.error_count, 4);
    finish(&checked);
}

static void lenient_turns_unknown_names_into_warnings(void **state)
{
    struct checked checked =
        check_with("a: {type: int}", "b: 1", &(struct config_check_options){.lenient = true});

    assert_non_null(checked.values);
    assert_int_equal(checked.diagnostics.error_count, 0);
    assert_int_equal(checked.diagnostics.count, 1);
    assert_int_equal(checked.diagnostics.items[0].severity, CONFIG_WARNING);
    finish(&checked);
}

static void a_deprecated_setting_warns_and_names_the_other(void **state)
{
    struct checked checked = check("old: {type: int, deprecated: new_name}", "old: 1");

    assert_non_null(checked.values);
    assert_int_equal(checked.diagnostics.count, 1);
    assert_non_null(strstr(checked.diagnostics.items[0].message, "is deprecated; use new_name"));
    assert_string_equal(checked.diagnostics.items[0].deprecated, "T.a/old");
    finish(&checked);
}

static void a_secret_is_in_no_message(void **state)
{
    static const char *const schemas[] = {
        "s: {type: duration, secret: true}",
        "s: {type: string, secret: true, pattern: x}",
        "s: {type: enum, secret: true, values: [a]}",
        "s: {type: float, secret: true}",
        "s: {type: bool, secret: true}",
        "s: {type: int, secret: true}",
        "s: {type: bytes, secret: true}",
        "s: {type: list, secret: true, items: {type: int}}",
        "s: {type: object, secret: true, fields: {n: {type: int}}}",
        "s: {type: string, secret: true, format: host_port}",
        "s: {type: path, secret: true, format: file}",
    };

    for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
        const char *section = i == 7 ? "s: [hunter2]" : i == 8 ? "s: {n: hunter2}" : "s: hunter2";
        const struct config_check_options options = {.section = "T.a", .look_at_files = true};
        struct checked checked = check_with(schemas[i], section, &options);

        assert_null(checked.values);
        for (size_t j = 0; j < checked.diagnostics.count; j++)
            assert_null(strstr(checked.diagnostics.items[j].message, "hunter2"));
        finish(&checked);
    }
}

static void a_partial_section_may_lack_what_is_required(void **state)
{
    struct checked checked =
        check_with("a: {type: int, required: true}", NULL, &(struct config_check_options){.partial = true});

    assert_non_null(checked.values);
    finish(&checked);
}

static void defaults_that_multiply_are_bounded(void **state)
{
    struct config_diagnostics diagnostics = {0};
    size_t length = 0;
    char *schema = malloc(1000 * 40 + 100);
    char *section = malloc(50000 * 4 + 16);
    struct checked checked;

    length += (size_t)sprintf(schema, "l: {type: list, items: {type: object, fields: {");
    for (size_t i = 0; i < 1000; i++)
        length += (size_t)sprintf(schema + length, "f%zu: {type: int, default: 1}, ", i);
    sprintf(schema + length, "}}}\n");
    length = (size_t)sprintf(section, "l: [");
    for (size_t i = 0; i < 50000; i++)
        length += (size_t)sprintf(section + length, "{}, ");
    sprintf(section + length, "]\n");
    checked = check(schema, section);
    assert_null(checked.values);
    assert_int_equal(checked.diagnostics.error_count, 1);
    assert_non_null(strstr(checked.diagnostics.items[0].message, "more than 1000000 values"));
    finish(&checked);
    free(schema);
    free(section);
    config_diagnostics_finish(&diagnostics);
}

static void durations_read_and_print_back(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
        const char *printed;
    } cases[] = {
        {"0", 0, "0s"},
        {"0s", 0, "0s"},
        {"10s", 10000000000, "10s"},
        {"1m30s", 90000000000, "1m30s"},
        {"10 s", 10000000000, "10s"},
        {"1 m 30 s", 90000000000, "1m30s"},
        {"90s", 90000000000, "1m30s"},
        {"1.5h", 5400000000000, "1h30m"},
        {"250ms", 250000000, "250ms"},
        {"1.5s", 1500000000, "1.5s"},
        {"100us", 100000, "100us"},
        {"100µs", 100000, "100us"},
        {"7ns", 7, "7ns"},
        {"1s7ns", 1000000007, "1.000000007s"},
        {"24h", 86400000000000, "24h"},
    };
    static const char *const bad[] = {"",      "10", "s",    "10 s ", "-1s",         "1.s", ".5s",
                                      "1..5s", "1d", "10sx", "0.5ns", "9999999999h", "1e3s"};
    struct berth_error err;
    int64_t ns;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char printed[CONFIG_UNITS_MAX];

        assert_true(config_parse_duration(cases[i].text, &ns, &err));
        assert_int_equal(ns, cases[i].ns);
        config_format_duration(ns, printed);
        assert_string_equal(printed, cases[i].printed);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(config_parse_duration(bad[i], &ns, &err));
}

static void sizes_read_and_print_back(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
        const char *printed;
    } cases[] = {
        {"0", 0, "0"},
        {"512", 512, "512"},
        {"512B", 512, "512"},
        {"4KiB", 4096, "4KiB"},
        {"4096", 4096, "4KiB"},
        {"1.5GiB", 1610612736, "1536MiB"},
        {"10MB", 10000000, "10MB"},
        {"3kB", 3000, "3kB"},
        {"64 MiB", 67108864, "64MiB"},
        {"7EiB", INT64_C(7) << 60, "7EiB"},
        {"9223372036854775807", INT64_MAX, "9223372036854775807"},
    };
    static const char *const bad[] = {"",     "x",    "-1",  "4K",        "4 Kib",
                                      "0.3B", "8EiB", "1.5", "12 apples", "1e3"};
    struct berth_error err;
    int64_t bytes;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char printed[CONFIG_UNITS_MAX];

        assert_true(config_parse_bytes(cases[i].text, &bytes, &err));
        assert_int_equal(bytes, cases[i].bytes);
        config_format_bytes(bytes, printed);
        assert_string_equal(printed, cases[i].printed);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(config_parse_bytes(bad[i], &bytes, &err));
}

static void the_longest_duration_prints_and_reads_back(void **state)
{
    static const int64_t values[] = {INT64_MAX, 999999999, 1000001, 3599999999999};
    struct berth_error err;

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char printed[CONFIG_UNITS_MAX];
        int64_t ns;

        config_format_duration(values[i], printed);
        assert_true(config_parse_duration(printed, &ns, &err));
        assert_int_equal(ns, values[i]);
    }
}

static void the_nearest_name_is_one_that_may_be_meant(void **state)
{
    static const char *const known[] = {"greeting", "max_name", "root", "state", "log"};

    assert_string_equal(config_nearest("greting", known, 5), "greeting");
    assert_string_equal(config_nearest("max_nmae", known, 5), "max_name");
    assert_string_equal(config_nearest("roto", known, 5), "root");
    assert_string_equal(config_nearest("greeting", known, 5), "greeting");
    assert_null(config_nearest("address", known, 5));
    assert_null(config_nearest("x", known, 5));
    assert_null(config_nearest("rope", known, 5));
    assert_null(config_nearest("", known, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_read),
        cmocka_unit_test(anything_is_read_as_it_is_written),
        cmocka_unit_test(a_default_that_merges_stays_below_what_is_set),
        cmocka_unit_test(what_replaces_a_merged_default_is_checked),
        cmocka_unit_test(defaults_complete_a_section_that_is_not_there),
        cmocka_unit_test(a_value_says_where_it_was_set),
        cmocka_unit_test(each_mistake_has_its_sentence),
        cmocka_unit_test(addresses_are_taken_apart),
        cmocka_unit_test(the_path_of_a_socket_is_as_long_as_the_kernel_takes),
        cmocka_unit_test(files_are_looked_at_where_it_is_asked_for),
        cmocka_unit_test(all_mistakes_are_said_at_once),
        cmocka_unit_test(lenient_turns_unknown_names_into_warnings),
        cmocka_unit_test(a_deprecated_setting_warns_and_names_the_other),
        cmocka_unit_test(a_secret_is_in_no_message),
        cmocka_unit_test(a_partial_section_may_lack_what_is_required),
        cmocka_unit_test(defaults_that_multiply_are_bounded),
        cmocka_unit_test(durations_read_and_print_back),
        cmocka_unit_test(sizes_read_and_print_back),
        cmocka_unit_test(the_longest_duration_prints_and_reads_back),
        cmocka_unit_test(the_nearest_name_is_one_that_may_be_meant),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
