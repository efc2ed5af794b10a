/* SPDX-License-Identifier: Apache-2.0 */
/* Packets between the daemon and a worker: what is written is read, and what is cut or changed is refused. */
#include <stdlib.h>
#include <string.h>

#include <core/wire/packet.h>
#include <core/wire/start.h>
#include <tests/cmocka.h>

static struct packet_writer writer;

static int end(void **state)
{
    packet_writer_finish(&writer);
    return 0;
}

static struct packet parse_whole(void)
{
    struct packet packet;
    size_t bytes;

    assert_false(writer.is_bad);
    assert_int_equal(packet_parse(writer.bytes, writer.length, &packet, &bytes), PACKET_WHOLE);
    assert_int_equal(bytes, writer.length);
    return packet;
}

static void what_is_written_is_read(void **state)
{
    struct packet_reader reader;
    struct packet packet;
    size_t length;

    writer.plugin = 7;
    packet_begin(&writer, PACKET_LOG, PACKET_LAST, 77);
    packet_put_u8(&writer, 3);
    packet_put_u32(&writer, UINT32_MAX);
    packet_put_u64(&writer, UINT64_C(1) << 63);
    packet_put_text(&writer, "text");
    packet_put_text(&writer, NULL);
    packet_put_optional(&writer, NULL);
    packet_put_optional(&writer, "");
    packet_put_bytes(&writer, "a\0b", 3);
    packet_end(&writer);
    packet = parse_whole();
    assert_int_equal(packet.type, PACKET_LOG);
    assert_int_equal(packet.flags, PACKET_LAST);
    assert_int_equal(packet.plugin, 7);
    assert_int_equal(packet.call, 77);
    packet_reader_init(&reader, &packet);
    assert_int_equal(packet_get_u8(&reader), 3);
    assert_int_equal(packet_get_u32(&reader), UINT32_MAX);
    assert_true(packet_get_u64(&reader) == UINT64_C(1) << 63);
    assert_string_equal(packet_get_text(&reader), "text");
    assert_string_equal(packet_get_text(&reader), "");
    assert_null(packet_get_optional(&reader));
    assert_string_equal(packet_get_optional(&reader), "");
    assert_memory_equal(packet_get_bytes(&reader, &length), "a\0b", 3);
    assert_int_equal(length, 3);
    assert_false(reader.is_bad);
    assert_int_equal(reader.left, 0);
}

static void a_part_says_how_much_is_missing(void **state)
{
    struct packet packet;
    size_t bytes;

    packet_begin(&writer, PACKET_MESSAGE, 0, 1);
    packet_put_raw(&writer, "0123456789", 10);
    packet_end(&writer);
    for (size_t length = 0; length < writer.length; length++) {
        assert_int_equal(packet_parse(writer.bytes, length, &packet, &bytes), PACKET_PARTIAL);
        assert_int_equal(bytes, length < PACKET_HEAD ? PACKET_HEAD : writer.length);
    }
}

static void a_head_that_is_none_is_refused_before_its_body_is_awaited(void **state)
{
    static const struct {
        size_t place;
        uint8_t value;
    } changes[] = {{3, 0xff}, {4, 0}, {4, PACKET_TYPES}, {6, 1}, {7, 0xff}};
    struct packet packet;
    size_t bytes;

    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        /* Of the last plugin that there may be. */
        uint8_t head[PACKET_HEAD] = {[4] = PACKET_PING, [7] = PACKET_PLUGINS_MAX >> 8};

        assert_int_equal(packet_parse(head, sizeof(head), &packet, &bytes), PACKET_WHOLE);
        head[changes[i].place] = changes[i].value;
        assert_int_equal(packet_parse(head, sizeof(head), &packet, &bytes), PACKET_BAD);
    }
}

static void a_body_that_is_too_short_reads_as_nothing(void **state)
{
    static const uint8_t body[] = {200, 0, 0, 0, 'a', 0};
    const struct packet packet = {.type = PACKET_LOG, .body = body, .length = sizeof(body)};
    struct packet_reader reader;
    size_t length;

    packet_reader_init(&reader, &packet);
    assert_string_equal(packet_get_text(&reader), "");
    assert_true(reader.is_bad);
    assert_int_equal(packet_get_u32(&reader), 0);
    packet_get_bytes(&reader, &length);
    assert_int_equal(length, 0);
    packet_reader_init(&reader, &packet);
    assert_int_equal(packet_get_count(&reader, 1), 0);
    assert_true(reader.is_bad);
}

static void a_text_has_one_end(void **state)
{
    static const uint8_t inner[] = {3, 0, 0, 0, 'a', 0, 'b', 0};
    static const uint8_t none[] = {1, 0, 0, 0, 'a', 'b'};
    struct packet_reader reader;

    packet_reader_init(&reader, &(struct packet){.body = inner, .length = sizeof(inner)});
    packet_get_text(&reader);
    assert_true(reader.is_bad);
    packet_reader_init(&reader, &(struct packet){.body = none, .length = sizeof(none)});
    packet_get_text(&reader);
    assert_true(reader.is_bad);
}

static void a_body_that_is_too_long_is_not_sent(void **state)
{
    char *much = calloc(1, PACKET_BODY_MAX + 1);

    packet_begin(&writer, PACKET_MESSAGE, 0, 1);
    packet_put_raw(&writer, much, PACKET_BODY_MAX + 1);
    packet_end(&writer);
    assert_true(writer.is_bad);
    free(much);
}

/* Settings as a plugin of a test has them: a map with one value of each kind. */

struct berth_value {
    enum berth_value_kind kind;
    const char *key, *text;
    double number;
    int64_t integer;
    const struct berth_value *items;
    size_t count;
};

static const struct berth_value list[] = {
    {.kind = BERTH_VALUE_INT, .integer = -5},
    {.kind = BERTH_VALUE_INT, .integer = INT64_MAX},
};
static const struct berth_value values[] = {
    {.kind = BERTH_VALUE_NONE, .key = "none"},
    {.kind = BERTH_VALUE_BOOL, .key = "bool", .integer = 1},
    {.kind = BERTH_VALUE_FLOAT, .key = "float", .number = 0.25},
    {.kind = BERTH_VALUE_STRING, .key = "string", .text = "s"},
    {.kind = BERTH_VALUE_LIST, .key = "list", .items = list, .count = 2},
};
static const struct berth_value root = {.kind = BERTH_VALUE_MAP, .items = values, .count = 5};

static enum berth_value_kind kind(const struct berth_value *value)
{
    return value->kind;
}

static bool boolean(const struct berth_value *value)
{
    return value->integer != 0;
}

static int64_t integer(const struct berth_value *value)
{
    return value->integer;
}

static double number(const struct berth_value *value)
{
    return value->number;
}

static const char *string(const struct berth_value *value)
{
    return value->text;
}

static size_t count(const struct berth_value *value)
{
    return value->count;
}

static const struct berth_value *at(const struct berth_value *value, size_t i, const char **ret_key)
{
    if (ret_key != NULL)
        *ret_key = value->items[i].key;
    return &value->items[i];
}

static const char *where(const struct berth_value *value)
{
    return "a.yaml:1:2";
}

static const struct berth_settings settings = {
    .size = sizeof(settings),
    .root = &root,
    .kind = kind,
    .boolean = boolean,
    .integer = integer,
    .number = number,
    .string = string,
    .count = count,
    .at = at,
    .where = where,
};

static const char *const readable[] = {"/a", "/b"};
static const uint16_t ports[] = {443};

static const struct worker_start worker = {
    .daemon_version = "1.0",
    .daemon_pid = 12,
    .sandbox = {.has_user = true,
                .user = 5,
                .read = readable,
                .read_count = 2,
                .network = SANDBOX_NETWORK_TCP,
                .connect_ports = ports,
                .connect_port_count = 1,
                .memory_bytes = 1u << 30,
                .is_required = true},
};

static const struct plugin_start plugin = {
    .uri = "a.v1.b",
    .type = "a.v1",
    .id = "b",
    .path = "/x/b.so",
    .status = {.st_ino = 7},
    .log_level = 2,
};

static bool read_plugin(const struct packet *packet, struct plugin_start *ret_start,
                        struct carried **ret_carried)
{
    struct packet_reader reader;

    packet_reader_init(&reader, packet);
    return plugin_start_read(&reader, ret_start, ret_carried);
}

static void a_start_arrives(void **state)
{
    struct worker_start start;
    struct packet packet;

    worker_start_write(&writer, &worker);
    packet = parse_whole();
    assert_int_equal(packet.plugin, 0);
    assert_true(worker_start_read(&packet, &start));
    assert_string_equal(start.daemon_version, "1.0");
    assert_int_equal(start.daemon_pid, 12);
    assert_string_equal(start.sandbox.read[1], "/b");
    assert_int_equal(start.sandbox.connect_ports[0], 443);
    assert_true(start.sandbox.is_required);
    worker_start_finish(&start);
}

static void a_plugin_arrives_with_its_settings(void **state)
{
    const struct berth_settings *view;
    const struct berth_value *two;
    struct plugin_start start;
    struct carried *carried;
    struct packet packet;

    writer.plugin = 3;
    plugin_start_write(&writer, &plugin, &settings);
    packet = parse_whole();
    assert_int_equal(packet.type, PACKET_PLUGIN);
    assert_int_equal(packet.plugin, 3);
    assert_true(read_plugin(&packet, &start, &carried));
    assert_string_equal(start.uri, "a.v1.b");
    assert_int_equal(start.status.st_ino, 7);
    view = carried_settings(carried);
    assert_int_equal(view->count(view->root), 5);
    assert_int_equal(view->kind(view->find(view->root, "none")), BERTH_VALUE_NONE);
    assert_true(view->boolean(view->find(view->root, "bool")));
    assert_true(view->number(view->find(view->root, "float")) == 0.25);
    assert_string_equal(view->string(view->find(view->root, "string")), "s");
    assert_string_equal(view->where(view->find(view->root, "string")), "a.yaml:1:2");
    two = view->find(view->root, "list");
    assert_int_equal(view->integer(view->at(two, 0, NULL)), -5);
    assert_true(view->integer(view->at(two, 1, NULL)) == INT64_MAX);
    assert_null(view->at(two, 2, NULL));
    assert_null(view->find(view->root, "else"));
    assert_int_equal(view->integer(NULL), 0);
    carried_destroy(carried);
}

/* Wherever it is cut: nothing is leaked, nothing is read past the end. */
static void a_start_that_is_cut_is_refused(void **state)
{
    struct worker_start start;
    struct plugin_start plugin_start;
    struct carried *carried;

    for (int i = 0; i < 2; i++) {
        struct packet packet;

        writer.length = 0;
        if (i == 0)
            worker_start_write(&writer, &worker);
        else
            plugin_start_write(&writer, &plugin, &settings);
        packet = parse_whole();
        for (size_t length = 0; length < packet.length; length++) {
            uint8_t *copy = malloc(length + 1);
            const struct packet cut = {.type = packet.type, .body = copy, .length = length};

            memcpy(copy, packet.body, length);
            assert_false(i == 0 ? worker_start_read(&cut, &start)
                                : read_plugin(&cut, &plugin_start, &carried));
            free(copy);
        }
    }
}

/* Whatever byte is changed: it is refused, or read as something else within its bounds. */
static void a_start_with_another_byte_is_survived(void **state)
{
    struct worker_start start;
    struct plugin_start plugin_start;
    struct carried *carried;

    for (int i = 0; i < 2; i++) {
        struct packet packet;
        uint8_t *copy;

        writer.length = 0;
        if (i == 0)
            worker_start_write(&writer, &worker);
        else
            plugin_start_write(&writer, &plugin, &settings);
        packet = parse_whole();
        copy = malloc(packet.length);
        for (size_t k = 0; k < packet.length; k++)
            for (unsigned value = 0; value < 256; value += 51) {
                const struct packet changed = {.type = packet.type, .body = copy, .length = packet.length};

                memcpy(copy, packet.body, packet.length);
                copy[k] = (uint8_t)value;
                if (i == 0 && worker_start_read(&changed, &start))
                    worker_start_finish(&start);
                else if (i == 1 && read_plugin(&changed, &plugin_start, &carried))
                    carried_destroy(carried);
            }
        free(copy);
    }
}

#define TEST(name) cmocka_unit_test_teardown(name, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read),
        TEST(a_part_says_how_much_is_missing),
        TEST(a_head_that_is_none_is_refused_before_its_body_is_awaited),
        TEST(a_body_that_is_too_short_reads_as_nothing),
        TEST(a_text_has_one_end),
        TEST(a_body_that_is_too_long_is_not_sent),
        TEST(a_start_arrives),
        TEST(a_plugin_arrives_with_its_settings),
        TEST(a_start_that_is_cut_is_refused),
        TEST(a_start_with_another_byte_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
