/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as JSON and back: the mapping, what is refused with which words, and the bounds. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <tests/cmocka.h>

#include <berth/json.h>

#define LIBRARY "libberth-json-protobuf.so.0"

static struct berth_json_types *types;

static char *read_file(const char *variable, size_t *ret_length)
{
    static char bytes[1 << 16];
    FILE *file = fopen(getenv(variable), "rb");

    assert_non_null(file);
    *ret_length = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    assert_in_range(*ret_length, 1, sizeof(bytes) - 1);
    return bytes;
}

static struct berth_json_types *create(const char *variable)
{
    struct berth_json_types *made;
    struct berth_error err;
    size_t length;
    char *set = read_file(variable, &length);

    if (berth_json_types_create(&made, &err) != BERTH_OK ||
        berth_json_types_add(made, set, length, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    return made;
}

static int create_types(void **state)
{
    types = create("BERTH_JSON_TYPES");
    return 0;
}

static int destroy_types(void **state)
{
    berth_json_types_destroy(types);
    return 0;
}

static void *to_message(const char *type, const char *text, size_t *ret_length)
{
    struct berth_error err;
    void *message;

    if (berth_json_to_message(types, type, text, strlen(text), NULL, &message, ret_length, &err) != BERTH_OK)
        fail_msg("%s: %s", text, err.message);
    return message;
}

static void assert_written(const char *type, const void *message, size_t length,
                           const struct berth_json_options *options, const char *expected)
{
    struct berth_error err;
    size_t text_length;
    char *text;

    if (berth_json_from_message(types, type, message, length, options, &text, &text_length, &err) != BERTH_OK)
        fail_msg("%s: %s", expected, err.message);
    assert_string_equal(text, expected);
    assert_int_equal(text_length, strlen(expected));
    free(text);
}

static void the_engine_is_loaded_with_the_first_types(void **state)
{
    void *engine;

    assert_null(dlopen(LIBRARY, RTLD_NOW | RTLD_NOLOAD));
    create_types(state);
    engine = dlopen(LIBRARY, RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(engine);
    dlclose(engine);
    destroy_types(state);
}

static void what_is_written_is_what_was_read(void **state)
{
    static const struct {
        const char *type;
        const char *text;
        /* NULL: the same. */
        const char *written;
    } cases[] = {
        {"json.v1.Tree", "{}", NULL},
        {"json.v1.Tree", " { \"name\" : \"Ann\\u00e9\" } ", "{\"name\":\"Ann\xc3\xa9\"}"},
        {"json.v1.Tree", "{\"size\":\"9223372036854775807\"}", NULL},
        {"json.v1.Tree", "{\"size\":12}", "{\"size\":\"12\"}"},
        {"json.v1.Tree", "{\"kids\":[{\"name\":\"a\"},{}]}", NULL},
        {"json.v1.Tree", "{\"at\":\"2026-11-29T12:00:00.5Z\"}", "{\"at\":\"2026-11-29T12:00:00.500Z\"}"},
        {"json.v1.Tree", "{\"lasts\":\"1.500s\"}", NULL},
        {"json.v1.Tree", "{\"count\":0}", NULL},
        {"json.v1.Tree", "{\"more\":{\"a\":[1,null,{\"b\":true}]}}", NULL},
        {"json.v1.Tree", "{\"value\":[1,\"x\"]}", NULL},
        {"json.v1.Tree", "{\"colour\":\"COLOUR_GREEN\"}", NULL},
        {"json.v1.Tree", "{\"colour\":7}", NULL},
        {"json.v1.Tree", "{\"numbers\":{\"a\":1}}", NULL},
        {"json.v1.Tree", "{\"raw\":\"aGk=\"}", NULL},
        {"json.v1.Tree", "{\"number\":0}", NULL},
        {"json.v1.Tree", "{\"mask\":\"a,bC\"}", NULL},
        {"json.v1.Tree", "{\"ratio\":\"NaN\"}", NULL},
        {"json.v1.Tree", "{\"is_old\":true}", "{\"isOld\":true}"},
        {"json.v1.Tree", "{'name':'x',}", "{\"name\":\"x\"}"},
        {"json.v1.Tree", "{\"name\":null}", "{}"},
        {"json.v1.Tree", "{\"any\":{\"@type\":\"type.googleapis.com/json.v1.Tree\",\"name\":\"b\"}}", NULL},
        /* As containerd's events have it, without a prefix. */
        {"json.v1.Tree", "{\"any\":{\"@type\":\"json.v1.Tree\",\"kids\":[{}]}}", NULL},
        {"json.v1.Tree",
         "{\"any\":{\"@type\":\"type.googleapis.com/google.protobuf.Duration\",\"value\":\"3s\"}}", NULL},
        /* A type that is not here, alone and inside one that is. */
        {"json.v1.Tree", "{\"any\":{\"@type\":\"example.com/x.Y\",\"value\":\"eyJhIjoxfQ==\"}}", NULL},
        {"json.v1.Tree",
         "{\"kids\":[{\"any\":{\"@type\":\"json.v1.Tree\",\"any\":{\"@type\":\"x\",\"value\":\"AP8=\"}}}]}",
         NULL},
        {"google.protobuf.Duration", "\"2s\"", NULL},
        {"google.protobuf.Struct", "{\"a\":1.5}", NULL},
        {"google.protobuf.StringValue", "\"x\"", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t length;
        void *message = to_message(cases[i].type, cases[i].text, &length);

        assert_written(cases[i].type, message, length, NULL,
                       cases[i].written != NULL ? cases[i].written : cases[i].text);
        free(message);
    }
}

static void the_bytes_of_an_unknown_type_are_the_payload_itself(void **state)
{
    static const char expected[] = "\x22\x0b\x0a\x05x.y/Z\x12\x02hi";
    size_t length;
    void *message = to_message("json.v1.Tree", "{\"any\":{\"@type\":\"x.y/Z\",\"value\":\"aGk=\"}}", &length);

    assert_int_equal(length, sizeof(expected) - 1);
    assert_memory_equal(message, expected, length);
    free(message);
}

static void options_say_how_to_write(void **state)
{
    static const struct {
        struct berth_json_options options;
        const char *written;
    } cases[] = {
        {{.is_pretty = true}, "{\n \"isOld\": true\n}\n"},
        {{.proto_names = true}, "{\"is_old\":true}"},
        {{.emit_defaults = true},
         "{\"name\":\"\",\"size\":\"0\",\"kids\":[],\"colour\":\"COLOUR_UNSPECIFIED\",\"numbers\":{},"
         "\"raw\":\"\",\"small\":0,\"ratio\":0,\"isOld\":true}"},
    };
    size_t length;
    void *message = to_message("json.v1.Tree", "{\"isOld\":true}", &length);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_json_options options = cases[i].options;

        options.size = sizeof(options);
        assert_written("json.v1.Tree", message, length, &options, cases[i].written);
        /* A caller that knows no options has none. */
        options.size = sizeof(options.size);
        assert_written("json.v1.Tree", message, length, &options, "{\"isOld\":true}");
    }
    free(message);
}

static void assert_refused(const char *text, size_t length, const struct berth_json_options *options,
                           enum berth_code code, const char *reason)
{
    struct berth_error err = {""};
    size_t message_length;
    void *message;

    assert_int_equal(
        berth_json_to_message(types, "json.v1.Tree", text, length, options, &message, &message_length, &err),
        code);
    if (strstr(err.message, reason) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", reason, err.message);
    assert_null(strchr(err.message, '\n'));
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    static const struct {
        const char *text;
        const char *reason;
    } cases[] = {
        {"{\"nme\":1}", "json.v1.Tree: nme: Cannot find field."},
        {"{\"kids\":[{},{\"kids\":[{\"foo\":1}]}]}", "(kids[1].kids[0]) foo: Cannot find field."},
        {"{\"small\":\"abc\"}", "(small): invalid value \"abc\" for type TYPE_INT32"},
        {"{\"small\":99999999999}", "(small): invalid value 99999999999"},
        {"{\"colour\":\"BLUE\"}", "(colour): invalid value \"BLUE\" for type"},
        {"{\"raw\":\"!!!\"}", "(raw): invalid value"},
        {"{\"at\":\"yesterday\"}", "yesterday"},
        {"{\"word\":\"1\",\"number\":2}", "'choice' is already set"},
        {"{\"any\":{\"name\":\"x\"}}", "Missing @type"},
        {"{\"any\":{\"@type\":\"x.Y\",\"name\":1}}",
         "unknown type x.Y: use {\"@type\": …, \"value\": base64}"},
        {"{\"part\":{\"nme\":1}}", "(part) nme: Cannot find field."},
        {"", "Unexpected end of string"},
        {"{\"name\":", "Unexpected end of string"},
        {"{\"name\":\"a\"\n,\"size\":x}", "line 2, column 9: Unexpected token."},
        {"{\"name\":\"a\" \"size\":1}", "line 1, column 13: Expected , or }"},
        {"[]", "Root element must be a message"},
        {"{} {}", "line 1, column 4: Parsing terminated before end of input"},
        {"{\"name\":\"\\ud800\"}", "Missing low surrogate"},
        {"{\"name\":\"\xff\"}", "UTF-8"},
        {"{\"name\":\"\xc3\"}", "UTF-8"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(cases[i].text, strlen(cases[i].text), NULL, BERTH_INVALID_ARGUMENT, cases[i].reason);
    assert_refused("{\"a\0b\":1}", 9, NULL, BERTH_INVALID_ARGUMENT, "json.v1.Tree: ");
}

static void unknown_fields_may_be_skipped(void **state)
{
    static const char text[] = "{\"nme\":{\"a\":[1]},\"name\":\"x\"}";
    const struct berth_json_options options = {.size = sizeof(options), .ignore_unknown = true};
    struct berth_error err;
    size_t length;
    void *message;

    assert_int_equal(berth_json_to_message(types, "json.v1.Tree", text, sizeof(text) - 1, &options, &message,
                                           &length, &err),
                     BERTH_OK);
    assert_written("json.v1.Tree", message, length, NULL, "{\"name\":\"x\"}");
    free(message);
}

/* `count` times the text. */
static char *repeat(const char *text, size_t count, size_t *ret_length)
{
    size_t length = strlen(text);
    char *all = malloc(length * count + 1);

    assert_non_null(all);
    for (size_t i = 0; i < count; i++)
        memcpy(all + i * length, text, length);
    *ret_length = length * count;
    return all;
}

static void deep_json_is_refused(void **state)
{
    static const char *const openings[] = {
        "{\"kids\":[",
        "[",
        "{\"any\":{\"@type\":\"json.v1.Tree\",\"any\":",
        "{\"more\":{\"a\":",
        "{\"value\":[",
        "{\"unknown\":",
    };
    static const size_t depths[] = {10000, 1000000};
    const struct berth_json_options lenient = {.size = sizeof(lenient), .ignore_unknown = true};

    for (size_t i = 0; i < sizeof(openings) / sizeof(openings[0]); i++)
        for (size_t k = 0; k < 2; k++) {
            size_t length;
            char *text = repeat(openings[i], depths[k], &length);

            assert_refused(text, length, NULL, BERTH_INVALID_ARGUMENT, "");
            assert_refused(text, length, &lenient, BERTH_INVALID_ARGUMENT, "");
            free(text);
        }
}

/* A Tree in a Tree in a Tree: each level is `field`, then what is within. */
static void *nest(char field, size_t depth, size_t *ret_length)
{
    unsigned char *bytes = malloc(8 * depth), *at = bytes + 8 * depth;
    size_t inner;

    assert_non_null(bytes);
    for (size_t i = 0; i < depth; i++) {
        unsigned char varint[8];
        size_t count = 0;

        inner = (size_t)(bytes + 8 * depth - at);
        do
            varint[count++] = (unsigned char)((inner & 0x7F) | (inner > 0x7F ? 0x80 : 0));
        while ((inner >>= 7) > 0);
        at -= count;
        memcpy(at, varint, count);
        *--at = (unsigned char)field;
    }
    *ret_length = (size_t)(bytes + 8 * depth - at);
    memmove(bytes, at, *ret_length);
    return bytes;
}

static void bytes_that_are_no_message_are_refused(void **state)
{
    /* Cut: in the tag, the length, the text, within a message and within an Any; a field 0; an end of a
     * group. */
    static const char *const bad[] = {
        "\x80",         "\x0a",
        "\x0a\x7fx",    "\x1a\x02\x0a\x01",
        "\x1a\x01\x0a", "\x22\x12\x0a\x0cjson.v1.Tree\x12\x02\x0a\x05",
        "\x02\x01",     "\x0c",
    };
    struct berth_error err = {""};
    size_t length, text_length;
    void *deep = nest('\x1a', 10000, &length);
    char *text;

    assert_int_equal(
        berth_json_from_message(types, "json.v1.Tree", deep, length, NULL, &text, &text_length, &err),
        BERTH_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "json.v1.Tree: "));
    free(deep);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (berth_json_from_message(types, "json.v1.Tree", bad[i], strlen(bad[i]), NULL, &text, &text_length,
                                    &err) != BERTH_INVALID_ARGUMENT)
            fail_msg("%zu", i);
    assert_int_equal(berth_json_from_message(types, "no.Type", "", 0, NULL, &text, &text_length, &err),
                     BERTH_NOT_FOUND);
    assert_string_equal(err.message, "no message type \"no.Type\" here");
}

static void sizes_are_bounded(void **state)
{
    const struct berth_json_options small = {.size = sizeof(small), .max_bytes = 1000};
    const struct berth_json_options all = {.size = sizeof(all), .emit_defaults = true};
    struct berth_error err;
    size_t length, text_length;
    char *name = repeat("x", 2000, &length), *text, *json;
    void *message;

    assert_true(asprintf(&json, "{\"name\":\"%.*s\"}", (int)length, name) > 0);
    assert_refused(json, strlen(json), &small, BERTH_RESOURCE_EXHAUSTED, "larger than 1000 bytes");
    assert_refused(json, BERTH_JSON_MAX_INPUT + 1, NULL, BERTH_RESOURCE_EXHAUSTED, "too large");
    message = to_message("json.v1.Tree", json, &length);
    assert_int_equal(
        berth_json_from_message(types, "json.v1.Tree", message, length, &small, &text, &text_length, &err),
        BERTH_RESOURCE_EXHAUSTED);
    free(message);
    free(json);
    free(name);
    /* Four bytes each, and hundreds of each in JSON with defaults. */
    message = repeat("\x1a\x02\x60\x01", 1000000, &length);
    assert_int_equal(
        berth_json_from_message(types, "json.v1.Tree", message, length, &all, &text, &text_length, &err),
        BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.message, "defaults"));
    free(message);
}

static void services_and_methods_are_listed(void **state)
{
    static const struct berth_json_method expected[] = {
        {"Get", "json.v1.Tree", "json.v1.Part", BERTH_METHOD_UNARY, true},
        {"Watch", "json.v1.Tree", "json.v1.Tree", BERTH_METHOD_SERVER_STREAM, false},
        {"Plant", "json.v1.Tree", "json.v1.Tree", BERTH_METHOD_CLIENT_STREAM, false},
        {"Chat", "json.v1.Tree", "json.v1.Tree", BERTH_METHOD_BIDI_STREAM, false},
    };
    struct berth_json_method method;
    struct berth_error err;

    assert_string_equal(berth_json_service(types, 0), "json.v1.Trees");
    assert_null(berth_json_service(types, 1));
    for (size_t i = 0; i < 4; i++) {
        assert_true(berth_json_method_at(types, "json.v1.Trees", i, &method));
        assert_string_equal(method.name, expected[i].name);
        assert_string_equal(method.input, expected[i].input);
        assert_string_equal(method.output, expected[i].output);
        assert_int_equal(method.kind, expected[i].kind);
        assert_int_equal(method.has_no_side_effects, expected[i].has_no_side_effects);
    }
    assert_false(berth_json_method_at(types, "json.v1.Trees", 4, &method));
    assert_false(berth_json_method_at(types, "json.v1.Tree", 0, &method));
    assert_int_equal(berth_json_method_find(types, "json.v1.Trees", "Plant", &method, &err), BERTH_OK);
    assert_int_equal(method.kind, BERTH_METHOD_CLIENT_STREAM);
    assert_int_equal(berth_json_method_find(types, "json.v1.Trees", "Fell", &method, &err), BERTH_NOT_FOUND);
    assert_string_equal(err.message, "service json.v1.Trees has no method \"Fell\"");
    assert_int_equal(berth_json_method_find(types, "json.v1.Bushes", "Get", &method, &err), BERTH_NOT_FOUND);
    assert_string_equal(err.message, "no service \"json.v1.Bushes\" here");
}

static void assert_described(const char *name, bool as_json, const char *part)
{
    struct berth_error err;
    char *text;

    if (berth_json_describe(types, name, as_json, &text, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, text);
    free(text);
}

static void descriptors_are_described(void **state)
{
    struct berth_error err;
    char *text;

    assert_described("json.v1.Trees", false,
                     "  rpc Chat(stream .json.v1.Tree) returns (stream .json.v1.Tree);\n");
    assert_described("json.v1.Trees.Get", false, "idempotency_level = NO_SIDE_EFFECTS");
    assert_described("json.v1.Tree", false, "  map<string, int32> numbers = 10");
    assert_described("json.v1.Tree.small", false, "int32 small = 12");
    assert_described("json.v1.Colour", false, "  COLOUR_GREEN = 1;\n");
    assert_described("json.v1.Colour", true, " \"name\": \"Colour\",\n");
    assert_described("google.protobuf.Timestamp", false, "int64 seconds = 1");
    assert_int_equal(berth_json_describe(types, "json.v1.Bush", false, &text, &err), BERTH_NOT_FOUND);
    assert_non_null(strstr(err.message, "\"json.v1.Bush\""));
}

/* Of a file that came without its import, everything else can be used; and that too once it comes. */
static void a_missing_import_spoils_only_its_fields(void **state)
{
    struct berth_json_types *whole = types;
    struct berth_error err;
    size_t length;
    void *message;
    char *set;

    types = create("BERTH_JSON_TYPES_ALONE");
    message = to_message("json.v1.Tree", "{\"name\":\"x\",\"lasts\":\"1s\"}", &length);
    assert_written("json.v1.Tree", message, length, NULL, "{\"name\":\"x\",\"lasts\":\"1s\"}");
    free(message);
    assert_refused("{\"part\":{\"value\":\"aGk=\"}}", 25, NULL, BERTH_INVALID_ARGUMENT, "json.v1.Part");
    set = read_file("BERTH_JSON_PARTS", &length);
    assert_int_equal(berth_json_types_add(types, set, length, &err), BERTH_OK);
    /* Once more: it is known. */
    assert_int_equal(berth_json_types_add(types, set, length, &err), BERTH_OK);
    message = to_message("json.v1.Tree", "{\"part\":{\"name\":\"x\"}}", &length);
    assert_written("json.v1.Tree", message, length, NULL, "{\"part\":{\"name\":\"x\"}}");
    free(message);
    berth_json_types_destroy(types);
    types = whole;
}

static void a_bad_descriptor_is_refused_with_its_file(void **state)
{
    static const struct {
        const char *set;
        size_t length;
        const char *reason;
    } cases[] = {
        {"\xff\xff", 2, "not a FileDescriptorSet"},
        /* Two messages of one name. */
        {"\x0a\x11\x0a\x05x.pro\x22\x03\x0a\x01M\x22\x03\x0a\x01M", 19, "x.pro: M: \"M\" is already defined"},
        /* A file that imports itself. */
        {"\x0a\x08\x0a\x01x\x1a\x01x\x12\x00", 10, "x: "},
        /* Json.v1.Tree once more, in another file. */
        {"\x0a\x18\x0a\x05y.pro\x12\x07json.v1\x22\x06\x0a\x04Tree", 26, "y.pro: json.v1.Tree: "},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_error err = {""};

        assert_int_equal(berth_json_types_add(types, cases[i].set, cases[i].length, &err),
                         BERTH_INVALID_ARGUMENT);
        if (strstr(err.message, cases[i].reason) == NULL)
            fail_msg("\"%s\" is not in \"%s\"", cases[i].reason, err.message);
    }
    what_is_written_is_what_was_read(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_engine_is_loaded_with_the_first_types),
#define WITH_TYPES(test) cmocka_unit_test_setup_teardown(test, create_types, destroy_types)
        WITH_TYPES(what_is_written_is_what_was_read),
        WITH_TYPES(the_bytes_of_an_unknown_type_are_the_payload_itself),
        WITH_TYPES(options_say_how_to_write),
        WITH_TYPES(what_is_wrong_is_said_with_its_place),
        WITH_TYPES(unknown_fields_may_be_skipped),
        WITH_TYPES(deep_json_is_refused),
        WITH_TYPES(bytes_that_are_no_message_are_refused),
        WITH_TYPES(sizes_are_bounded),
        WITH_TYPES(services_and_methods_are_listed),
        WITH_TYPES(descriptors_are_described),
        WITH_TYPES(a_missing_import_spoils_only_its_fields),
        WITH_TYPES(a_bad_descriptor_is_refused_with_its_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
