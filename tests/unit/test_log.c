/* SPDX-License-Identifier: Apache-2.0 */
/* What one event looks like in the log, whatever stands in its text. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <berth/trace.h>

#include <core/base/log.h>

#define URI "io.berth.store.v1.lmdb"

static char lines[65536];

/* Logs one event through a pipe and returns what came out. */
static const char *logged(enum log_format format, enum berth_log_level level, const char *uri,
                          const char *text)
{
    ssize_t length;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    log_start(BERTH_LOG_INFO, format, ends[1]);
    log_write(level, uri, text);
    close(ends[1]);
    length = read(ends[0], lines, sizeof(lines) - 1);
    assert_true(length >= 0);
    lines[length] = '\0';
    close(ends[0]);
    log_start(BERTH_LOG_INFO, LOG_TEXT, STDERR_FILENO);
    return lines;
}

static void a_line_has_time_level_plugin_and_text(void **state)
{
    const char *line = logged(LOG_TEXT, BERTH_LOG_INFO, URI, "opened map_size=64MiB");

    assert_int_equal(line[4], '-');
    assert_int_equal(line[10], 'T');
    assert_int_equal(line[19], '.');
    assert_string_equal(line + 23, "Z info  " URI ": opened map_size=64MiB\n");
}

static void a_line_of_the_daemon_names_no_plugin(void **state)
{
    assert_string_equal(logged(LOG_TEXT, BERTH_LOG_ERROR, NULL, "no") + 23, "Z error no\n");
}

static void a_level_that_is_off_writes_nothing(void **state)
{
    assert_string_equal(logged(LOG_TEXT, BERTH_LOG_DEBUG, URI, "detail"), "");
}

static void a_plugin_may_have_a_level_of_its_own(void **state)
{
    struct running_plugin *plugin = running_add(URI, "lmdb", "1", "/lmdb.so");

    log_set_plugin_level(plugin, BERTH_LOG_DEBUG);
    assert_true(log_is_on_for(plugin, BERTH_LOG_DEBUG));
    assert_false(log_is_on_for(NULL, BERTH_LOG_DEBUG));
    assert_non_null(strstr(logged(LOG_TEXT, BERTH_LOG_DEBUG, URI, "detail"), "detail"));
    assert_string_equal(logged(LOG_TEXT, BERTH_LOG_DEBUG, "io.other.v1.a", "detail"), "");
    assert_string_equal(logged(LOG_TEXT, BERTH_LOG_DEBUG, NULL, "detail"), "");
    log_set_plugin_level(plugin, BERTH_LOG_ERROR);
    assert_string_equal(logged(LOG_TEXT, BERTH_LOG_WARN, URI, "beware"), "");
    assert_non_null(strstr(logged(LOG_TEXT, BERTH_LOG_INFO, NULL, "hello"), "hello"));
    log_set_plugin_level(plugin, -1);
    assert_int_equal(log_plugin_level(plugin), -1);
    assert_non_null(strstr(logged(LOG_TEXT, BERTH_LOG_WARN, URI, "beware"), "beware"));
    assert_false(log_is_on(BERTH_LOG_DEBUG));
}

static void the_level_of_a_plugin_is_that_of_all_its_versions(void **state)
{
    struct running_plugin *first = running_add("io.versions.v1.a", "a", "1.0.0", "/a.so");
    struct running_plugin *second = running_add("io.versions.v1.a", "a", "1.1.0", "/a.so");
    struct running_plugin *other = running_add("io.versions.v1.b", "b", "1.1.0", "/b.so");

    log_set_plugin_level(first, BERTH_LOG_DEBUG);
    assert_int_equal(log_plugin_level(first), BERTH_LOG_DEBUG);
    assert_int_equal(log_plugin_level(second), BERTH_LOG_DEBUG);
    assert_int_equal(log_plugin_level(other), -1);
    assert_true(log_is_on_for(second, BERTH_LOG_DEBUG));
    assert_non_null(strstr(logged(LOG_TEXT, BERTH_LOG_DEBUG, "io.versions.v1.a", "detail"), "detail"));
    log_set_plugin_level(second, -1);
    assert_int_equal(log_plugin_level(first), -1);
    assert_false(log_is_on(BERTH_LOG_DEBUG));
}

static void tap(void *context, enum berth_log_level level, bool is_logged, const char *uri, const char *text)
{
    char *seen = context;

    snprintf(seen + strlen(seen), 64, "%d%c %s;", (int)level, is_logged ? '+' : '-', text);
}

static void a_tap_sees_each_line_and_those_beyond_the_log_that_it_wants(void **state)
{
    char seen[512] = "";
    const struct log_tap one = {.on_line = tap, .context = seen};

    log_use_tap(&one, -1);
    logged(LOG_TEXT, BERTH_LOG_INFO, URI, "a");
    logged(LOG_TEXT, BERTH_LOG_DEBUG, URI, "b");
    log_use_tap(&one, BERTH_LOG_DEBUG);
    assert_true(log_is_on(BERTH_LOG_DEBUG));
    assert_true(log_is_on_for(NULL, BERTH_LOG_DEBUG));
    assert_string_equal(logged(LOG_TEXT, BERTH_LOG_DEBUG, URI, "c"), "");
    log_use_tap(NULL, -1);
    logged(LOG_TEXT, BERTH_LOG_INFO, URI, "d");
    assert_string_equal(seen, "2+ a;3- c;");
}

static void control_characters_are_escaped_so_that_one_event_is_one_line(void **state)
{
    assert_string_equal(logged(LOG_JOURNAL, BERTH_LOG_WARN, NULL, "a\nb\tc\x1b[2Jd\x7f\xc2\x9b\r"),
                        "<4>a\\nb\\tc\\x1b[2Jd\\x7f\\xc2\\x9b\\x0d\n");
}

static void what_would_reorder_a_line_is_escaped(void **state)
{
    assert_string_equal(logged(LOG_JOURNAL, BERTH_LOG_WARN, NULL, "a\u202eb\u2066c\u200dd"),
                        "<4>a\\xe2\\x80\\xaeb\\xe2\\x81\\xa6c\u200dd\n");
    assert_non_null(strstr(logged(LOG_JSON, BERTH_LOG_WARN, NULL,
                                  "a\u202eb\xc2\x85"
                                  "x\U000e0041d"),
                           "a\\u202eb\\u0085x\\udb40\\udc41d"));
}

static void bytes_that_are_no_text_are_escaped_and_text_is_kept(void **state)
{
    assert_string_equal(logged(LOG_JOURNAL, BERTH_LOG_INFO, NULL, "gr\xc3\xbc\xc3\x9f \xff\xc3"),
                        "<6>gr\xc3\xbc\xc3\x9f \\xff\\xc3\n");
}

static void json_is_one_object_a_line(void **state)
{
    const char *line = logged(LOG_JSON, BERTH_LOG_WARN, URI, "a \"b\" \\ \n \x01 \xff");

    assert_memory_equal(line, "{\"time\":\"2", 10);
    assert_string_equal(strstr(line, "\",\"level\""),
                        "\",\"level\":\"warn\",\"plugin\":\"" URI
                        "\",\"message\":\"a \\\"b\\\" \\\\ \\n \\u0001 \\ufffd\"}\n");
}

/* What stands behind the message of one JSON line. */
static const char *fields_of(const char *text)
{
    return strstr(logged(LOG_JSON, BERTH_LOG_INFO, NULL, text), ",\"message\":");
}

static void data_at_the_end_of_a_text_are_fields_of_json(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"opened path=/x size=12", "\"opened\",\"fields\":{\"path\":\"/x\",\"size\":12}"},
        {"done in_ms=-1.50 is.x=007", "\"done\",\"fields\":{\"in_ms\":-1.50,\"is.x\":\"007\"}"},
        {"a b=\"c \\\"d\\\" e=f\" g=1.", "\"a\",\"fields\":{\"b\":\"c \\\"d\\\" e=f\",\"g\":\"1.\"}"},
        {"a b=1 b=2", "\"a\",\"fields\":{\"b\":1}"},
        {"a b=\x01", "\"a\",\"fields\":{\"b\":\"\\u0001\"}"},
        {"a b=12345678901234567890", "\"a\",\"fields\":{\"b\":\"12345678901234567890\"}"},
        /* No data: not at the end, no key, no value, a quote that stays open. */
        {"a b=1 c", "\"a b=1 c\""},
        {"a B=1", "\"a B=1\""},
        {"a b=", "\"a b=\""},
        {"a b=\"c", "\"a b=\\\"c\""},
        {"b=1", "\"b=1\""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char expected[256];

        snprintf(expected, sizeof(expected), ",\"message\":%s}\n", cases[i].expected);
        assert_string_equal(fields_of(cases[i].text), expected);
    }
}

static void fields_that_are_too_long_are_cut_as_text(void **state)
{
    static char text[30000];
    const char *line;
    size_t length;

    memset(text, 'x', sizeof(text) - 1);
    memcpy(text, "a b=", 4);
    line = logged(LOG_JSON, BERTH_LOG_INFO, NULL, text);
    length = strlen(line);
    assert_true(length < 8192);
    assert_null(strstr(line, "fields"));
    assert_string_equal(line + length - 6, "...\"}\n");
}

static void every_format_has_priorities_where_the_journal_reads_it(void **state)
{
    char stream[64];
    struct stat status;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fstat(ends[1], &status), 0);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_start(BERTH_LOG_INFO, LOG_JSON, ends[1]);
    log_write(BERTH_LOG_ERROR, NULL, "x");
    log_start(BERTH_LOG_INFO, LOG_TEXT, ends[1]);
    log_write(BERTH_LOG_WARN, NULL, "y");
    unsetenv("JOURNAL_STREAM");
    log_start(BERTH_LOG_INFO, LOG_TEXT, STDERR_FILENO);
    close(ends[1]);
    memset(lines, 0, sizeof(lines));
    assert_true(read(ends[0], lines, sizeof(lines) - 1) > 0);
    close(ends[0]);
    assert_memory_equal(lines, "<3>{\"time\":", 11);
    assert_non_null(strstr(lines, "}\n<4>2"));
}

static void a_list_of_names_says_how_many_it_leaves_out(void **state)
{
    struct log_names names = {0};

    assert_string_equal(log_names_text(&names), "");
    for (int i = 0; i < 8; i++)
        log_names_add(&names, "n%d", i);
    assert_string_equal(log_names_text(&names), "n0, n1, n2, n3, n4, n5, n6, n7");
    log_names_add(&names, "n%d", 8);
    assert_string_equal(log_names_text(&names), "n0, n1, n2, n3, n4, n5, n6, n7 and 1 more");
}

static void journal_priorities_are_those_of_syslog(void **state)
{
    assert_string_equal(logged(LOG_JOURNAL, BERTH_LOG_ERROR, URI, "x"), "<3>" URI ": x\n");
    assert_string_equal(logged(LOG_JOURNAL, BERTH_LOG_INFO, URI, "x"), "<6>" URI ": x\n");
}

static void a_text_that_is_too_long_is_cut_and_still_ends_its_line(void **state)
{
    static char text[30000];
    const char *line;
    size_t length;

    memset(text, '\x01', sizeof(text) - 1);
    line = logged(LOG_JSON, BERTH_LOG_INFO, NULL, text);
    length = strlen(line);
    assert_true(length < 8192);
    assert_string_equal(line + length - 6, "...\"}\n");
    assert_ptr_equal(strchr(line, '\n'), line + length - 1);
}

static void a_reader_that_stops_reading_stops_nobody(void **state)
{
    static const char block[4096];
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    while (write(ends[1], block, sizeof(block)) > 0)
        continue;
    assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
    log_start(BERTH_LOG_INFO, LOG_JOURNAL, ends[1]);
    alarm(60);
    log_write(BERTH_LOG_INFO, NULL, "lost");
    log_write(BERTH_LOG_INFO, NULL, "lost");
    alarm(0);
    while (read(ends[0], lines, sizeof(block)) > 0 && lines[0] == '\0')
        if (read(ends[0], lines, sizeof(block)) > 0)
            log_write(BERTH_LOG_INFO, NULL, "read again");
    assert_non_null(strstr(lines, "<6>read again\n<4>2 lines before the previous line were lost"));
    close(ends[0]);
    close(ends[1]);
    log_start(BERTH_LOG_INFO, LOG_TEXT, STDERR_FILENO);
}

static void a_level_outside_the_enum_is_logged_as_info(void **state)
{
    assert_string_equal(logged(LOG_JOURNAL, (enum berth_log_level)77, NULL, "x"), "<6>x\n");
}

static void journal_format_is_chosen_only_for_the_stream_it_names(void **state)
{
    setenv("JOURNAL_STREAM", "1:2", 1);
    assert_int_equal(log_format_of(STDERR_FILENO), LOG_TEXT);
    setenv("JOURNAL_STREAM", "nonsense", 1);
    assert_int_equal(log_format_of(STDERR_FILENO), LOG_TEXT);
    unsetenv("JOURNAL_STREAM");
    assert_int_equal(log_format_of(STDERR_FILENO), LOG_TEXT);
}

static const struct berth_trace trace = {.trace_id = {0x0a, 0xf7, [15] = 0x9c}, .span_id = {1}};

static const struct berth_trace *find_trace(void)
{
    return &trace;
}

static const struct berth_trace *find_no_trace(void)
{
    return NULL;
}

static void a_line_names_the_trace_that_is_worked_for_once(void **state)
{
    log_use_trace(find_no_trace);
    assert_string_equal(logged(LOG_TEXT, BERTH_LOG_ERROR, NULL, "no") + 23, "Z error no\n");
    log_use_trace(find_trace);
    assert_string_equal(logged(LOG_TEXT, BERTH_LOG_ERROR, NULL, "no a=1") + 23,
                        "Z error no a=1 trace_id=0af7000000000000000000000000009c\n");
    assert_non_null(strstr(logged(LOG_JSON, BERTH_LOG_ERROR, NULL, "no"),
                           "\"no\",\"fields\":{\"trace_id\":\"0af7000000000000000000000000009c\"}}\n"));
    assert_string_equal(logged(LOG_TEXT, BERTH_LOG_ERROR, NULL, "call trace_id=1 b=2") + 23,
                        "Z error call trace_id=1 b=2\n");
    log_use_trace(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_plugin_and_text),
        cmocka_unit_test(a_line_of_the_daemon_names_no_plugin),
        cmocka_unit_test(a_level_that_is_off_writes_nothing),
        cmocka_unit_test(a_plugin_may_have_a_level_of_its_own),
        cmocka_unit_test(the_level_of_a_plugin_is_that_of_all_its_versions),
        cmocka_unit_test(a_tap_sees_each_line_and_those_beyond_the_log_that_it_wants),
        cmocka_unit_test(control_characters_are_escaped_so_that_one_event_is_one_line),
        cmocka_unit_test(what_would_reorder_a_line_is_escaped),
        cmocka_unit_test(bytes_that_are_no_text_are_escaped_and_text_is_kept),
        cmocka_unit_test(json_is_one_object_a_line),
        cmocka_unit_test(data_at_the_end_of_a_text_are_fields_of_json),
        cmocka_unit_test(fields_that_are_too_long_are_cut_as_text),
        cmocka_unit_test(every_format_has_priorities_where_the_journal_reads_it),
        cmocka_unit_test(a_list_of_names_says_how_many_it_leaves_out),
        cmocka_unit_test(journal_priorities_are_those_of_syslog),
        cmocka_unit_test(a_text_that_is_too_long_is_cut_and_still_ends_its_line),
        cmocka_unit_test(a_reader_that_stops_reading_stops_nobody),
        cmocka_unit_test(a_line_names_the_trace_that_is_worked_for_once),
        cmocka_unit_test(a_level_outside_the_enum_is_logged_as_info),
        cmocka_unit_test(journal_format_is_chosen_only_for_the_stream_it_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
