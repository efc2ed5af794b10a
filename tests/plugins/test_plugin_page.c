/* SPDX-License-Identifier: Apache-2.0 */
/* The page: its files and headers, data as valid JSON within bounds, and streams that catch up when they can.
 */
#include "plugin_stage.h"

#include <math.h>

#include <ctype.h>

#include <berth/types/http.h>

#include <plugins/page/files.h>
#include <berth/json_writer.h>
#include <plugins/page/lines.h>
#include <plugins/page/report.h>
#include <plugins/page/stream.h>

#define HEADERS_MAX 16
#define BODY_MAX ((size_t)4 << 20)

/* What a server would have sent. */
struct answer {
    struct berth_http_request request;
    unsigned status;
    char headers[HEADERS_MAX][512];
    size_t header_count;
    int64_t promised;
    char *body;
    size_t length, writes;
    bool has_ended, is_slow, is_gone;
    const struct berth_http *handler;
};

static struct answer *answer_of(struct berth_http_request *request)
{
    return (struct answer *)request;
}

static enum berth_code begin(struct berth_http_request *request, unsigned status,
                             const struct berth_http_header *headers, size_t count, int64_t length)
{
    struct answer *answer = answer_of(request);

    assert_int_equal(answer->status, 0);
    assert_true(count <= HEADERS_MAX);
    answer->status = status;
    answer->promised = length;
    answer->header_count = count;
    for (size_t i = 0; i < count; i++) {
        assert_null(strpbrk(headers[i].value, "\r\n"));
        snprintf(answer->headers[i], sizeof(answer->headers[i]), "%s: %s", headers[i].name, headers[i].value);
    }
    return answer->is_gone ? BERTH_CANCELLED : BERTH_OK;
}

static enum berth_code write_body(struct berth_http_request *request, const void *bytes, size_t length)
{
    struct answer *answer = answer_of(request);

    if (answer->is_gone)
        return BERTH_CANCELLED;
    if (answer->is_slow)
        return BERTH_RESOURCE_EXHAUSTED;
    assert_true(answer->status != 0 && !answer->has_ended);
    assert_true(answer->length + length < BODY_MAX);
    memcpy(answer->body + answer->length, bytes, length);
    answer->length += length;
    answer->body[answer->length] = '\0';
    answer->writes++;
    return BERTH_OK;
}

static bool can_write(struct berth_http_request *request)
{
    return !answer_of(request)->is_slow;
}

static void end(struct berth_http_request *request)
{
    struct answer *answer = answer_of(request);

    assert_false(answer->has_ended);
    answer->has_ended = true;
    if (answer->promised >= 0 && !answer->is_gone)
        assert_int_equal(answer->length, answer->promised);
    answer->handler->on_end(request);
}

static const struct berth_http_ops ops = {
    .size = sizeof(ops), .begin = begin, .write = write_body, .can_write = can_write, .end = end};

static const struct berth_http_header from_elsewhere = {"sec-fetch-site", "cross-site"};

/* To be freed by answer_destroy. */
static struct answer *ask(struct berth_testing *testing, const char *rest, const char *query,
                          const struct berth_http_header *header)
{
    struct answer *answer = calloc(1, sizeof(*answer));

    answer->body = calloc(1, BODY_MAX);
    answer->handler = berth_testing_interface(testing);
    answer->request = (struct berth_http_request){
        .size = sizeof(answer->request),
        .ops = &ops,
        .method = "GET",
        .path = "/page",
        .rest = rest,
        .query = query,
        .headers = header,
        .header_count = header != NULL ? 1 : 0,
        .body = "",
        .instance = berth_testing_instance(testing),
    };
    answer->handler->on_request(&answer->request);
    berth_testing_advance(testing, 150);
    return answer;
}

static void answer_destroy(struct answer *answer)
{
    if (!answer->has_ended) {
        answer->is_gone = true;
        answer->handler->on_end(&answer->request);
    }
    free(answer->body);
    free(answer);
}

static bool has_header(const struct answer *answer, const char *line)
{
    for (size_t i = 0; i < answer->header_count; i++)
        if (strncmp(answer->headers[i], line, strlen(line)) == 0)
            return true;
    return false;
}

static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;

    for (; (text = strstr(text, what)) != NULL; text += strlen(what))
        count++;
    return count;
}

static int set_up(void **state)
{
    *state = plugin_run(NULL, "{enabled: true, max_watchers: 2}");
    return 0;
}

/* JSON. */

static void assert_json(struct berth_json_writer *json, const char *expected)
{
    berth_json_raw(json, "", 1);
    assert_false(json->failed);
    assert_string_equal(json->bytes, expected);
    berth_json_finish(json);
}

static void texts_are_escaped_where_they_could_harm(void **state)
{
    struct berth_json_writer json = {0};

    berth_json_open(&json, NULL, '[');
    berth_json_string(&json, NULL, "plain ä € 😀");
    berth_json_string(&json, NULL, "\"\\\n\t\x01\x7f");
    berth_json_string(&json, NULL, "<script>&amp;</script>");
    berth_json_string(&json, NULL,
                      "a\xe2\x80\xae"
                      "b\xe2\x80\xa8"
                      "c\xf3\xa0\x80\x81");
    berth_json_string(&json, NULL, "\xff\xc0\xafz\xe2\x82");
    berth_json_string(&json, NULL, "");
    berth_json_string(&json, NULL, NULL);
    berth_json_text(&json, NULL, "");
    berth_json_close(&json, ']');
    assert_json(&json, "[\"plain ä € 😀\",\"\\u0022\\u005c\\u000a\\u0009\\u0001\\u007f\","
                       "\"\\u003cscript\\u003e\\u0026amp;\\u003c/script\\u003e\","
                       "\"a\\u202eb\\u2028c\\udb40\\udc01\",\"\\ufffd\\ufffd\\ufffdz\\ufffd\\ufffd\",\"\","
                       "null,null]");
}

static void members_and_numbers_are_separated(void **state)
{
    struct berth_json_writer json = {0};

    berth_json_raw(&json, "data: ", 6);
    berth_json_open(&json, NULL, '{');
    berth_json_open(&json, "a", '[');
    berth_json_close(&json, ']');
    berth_json_integer(&json, "b", INT64_MIN);
    berth_json_count(&json, "c", UINT64_MAX);
    berth_json_bool(&json, "d", false);
    berth_json_open(&json, "n", '[');
    berth_json_number(&json, NULL, 0.1);
    berth_json_number(&json, NULL, -2.5e-300);
    berth_json_number(&json, NULL, 1.0 / 3);
    berth_json_number(&json, NULL, (double)INFINITY);
    berth_json_close(&json, ']');
    berth_json_open(&json, "e:", '{');
    berth_json_bool(&json, "[", true);
    berth_json_close(&json, '}');
    berth_json_string(&json, "f", "[");
    berth_json_string(&json, "g", "{ ");
    berth_json_close(&json, '}');
    assert_json(&json, "data: {\"a\":[],\"b\":-9223372036854775808,\"c\":9223372036854775807,\"d\":false,"
                       "\"n\":[0.1,-2.5e-300,0.3333333333333333,null],"
                       "\"e:\":{\"[\":true},\"f\":\"[\",\"g\":\"{ \"}");
}

static void a_text_ends_at_its_bound(void **state)
{
    struct berth_json_writer json = {.max = 100};

    berth_json_open(&json, NULL, '[');
    for (int i = 0; i < 100; i++)
        berth_json_string(&json, NULL, "0123456789");
    assert_true(json.failed);
    assert_true(json.length <= 100);
    berth_json_finish(&json);
    assert_false(json.failed);
    assert_null(json.bytes);
}

/* The handler. */

static void every_file_is_served_with_its_type_and_a_strict_policy(void **state)
{
    size_t total = 0;

    for (size_t i = 0; i < page_file_count; i++) {
        struct answer *answer = ask(*state, page_files[i].path, "", NULL);

        total += page_files[i].length;
        assert_int_equal(answer->status, 200);
        assert_memory_equal(answer->body, page_files[i].bytes, page_files[i].length);
        assert_true(has_header(answer, "Content-Security-Policy: default-src 'none'; script-src 'self'; "));
        assert_true(has_header(answer, "X-Content-Type-Options: nosniff"));
        assert_true(has_header(answer, "Cache-Control: no-cache"));
        assert_null(strstr(answer->headers[2], "unsafe"));
        answer_destroy(answer);
    }
    assert_true(total < 100 * 1000);
}

static void a_file_that_the_client_has_is_not_sent_again(void **state)
{
    const struct berth_http_header known = {"if-none-match", page_files[0].tag};
    struct answer *answer = ask(*state, page_files[0].path, "", &known);

    assert_int_equal(answer->status, 304);
    assert_int_equal(answer->length, 0);
    assert_true(has_header(answer, "ETag: "));
    answer_destroy(answer);
}

static void the_prefix_alone_leads_to_the_folder(void **state)
{
    struct answer *answer = ask(*state, "", "", NULL);

    assert_int_equal(answer->status, 308);
    assert_true(has_header(answer, "Location: page/"));
    answer_destroy(answer);
}

static void assert_status(struct berth_testing *testing, const char *rest, const char *query,
                          const struct berth_http_header *header, unsigned status)
{
    struct answer *answer = ask(testing, rest, query, header);

    if (answer->status != status)
        fail_msg("%s?%s: %u instead of %u", rest, query, answer->status, status);
    assert_true(answer->has_ended);
    assert_true(has_header(answer, "Content-Security-Policy: "));
    answer_destroy(answer);
}

static void what_is_not_there_is_refused(void **state)
{
    assert_status(*state, "/nothing", "", NULL, 404);
    assert_status(*state, "/data/", "", NULL, 404);
    assert_status(*state, "/page.js/more", "", NULL, 404);
    assert_status(*state, "/data/plugins", "uri=io.nobody.v1.there", NULL, 404);
    assert_status(*state, "/data/plugins", "id=4", NULL, 400);
    assert_status(*state, "/data/plugins", "uri=", NULL, 400);
    assert_status(*state, "/data/plugins", "uri=a%", NULL, 400);
    assert_status(*state, "/data/plugins", "uri=a%0", NULL, 400);
    assert_status(*state, "/data/plugins", "uri=a%00", NULL, 400);
    assert_status(*state, "/data/plugins", "uri=a&uri=b", NULL, 400);
    assert_status(*state, "/data/status", "uri=io.berth.http.v1.page", NULL, 400);
}

static void a_uri_of_any_length_is_refused_within_bounds(void **state)
{
    char query[2000] = "uri=";

    memset(query + 4, 'a', sizeof(query) - 5);
    assert_status(*state, "/data/plugins", query, NULL, 400);
}

static void data_is_for_pages_of_this_origin_alone(void **state)
{
    const struct berth_http_header own = {"sec-fetch-site", "same-origin"},
                                   site = {"sec-fetch-site", "same-site"};

    assert_status(*state, "/data/plugins", "", &own, 200);
    assert_status(*state, "/data/plugins", "", &from_elsewhere, 403);
    assert_status(*state, "/data/log", "", &site, 403);
    assert_status(*state, "/events", "", &from_elsewhere, 403);
    /* A link from elsewhere to the page itself works. */
    assert_status(*state, "/", "", &from_elsewhere, 200);
}

static void one_plugin_is_found_by_its_encoded_uri(void **state)
{
    struct answer *answer = ask(*state, "/data/plugins", "uri=io.berth.http.v1%2Epage", NULL);

    assert_int_equal(answer->status, 200);
    assert_true(has_header(answer, "Content-Type: application/json"));
    assert_true(has_header(answer, "Cache-Control: no-store"));
    assert_int_equal(count_of(answer->body, "\"uri\":\"io.berth.http.v1.page\""), 1);
    answer_destroy(answer);
}

static void settings_are_those_of_one_plugin(void **state)
{
    struct answer *answer = ask(*state, "/data/settings", "uri=io.berth.http.v1.page", NULL);

    assert_int_equal(answer->status, 200);
    assert_non_null(strstr(answer->body, "{\"path\":\"log_bytes\",\"value\":\"256KiB\",\"where\":\"default\","
                                         "\"was\":null,\"secret\":false,\"cut\":false}"));
    assert_non_null(strstr(answer->body, "],\"more_settings\":false}"));
    answer_destroy(answer);
    assert_status(*state, "/data/settings", "", NULL, 400);
    assert_status(*state, "/data/settings", "uri=io.nobody.v1.there", NULL, 404);
    assert_status(*state, "/data/settings", "uri=io.berth.http.v1.page", &from_elsewhere, 403);
}

/* Streams. */

static void a_stream_begins_with_all_and_goes_on_with_what_changes(void **state)
{
    struct berth_testing *testing = *state;
    struct answer *answer;

    berth_testing_provide(testing, "io.berth.store.v1.lmdb", NULL, NULL);
    answer = ask(testing, "/events", "", NULL);
    assert_int_equal(answer->status, 200);
    assert_int_equal(answer->promised, -1);
    assert_true(has_header(answer, "Content-Type: text/event-stream"));
    assert_int_equal(count_of(answer->body, "event: plugins\ndata: {\"reset\":true"), 1);
    assert_int_equal(count_of(answer->body, "event: status\n"), 1);
    assert_int_equal(count_of(answer->body, "event: costs\n"), 1);
    assert_int_equal(count_of(answer->body, "\n\n"),
                     answer->writes == 1 ? count_of(answer->body, "event: ") : 0);
    answer->length = 0;
    berth_testing_set_condition(testing, "io.berth.store.v1.lmdb", BERTH_UNAVAILABLE, "the disk is <full>");
    berth_testing_advance(testing, 200);
    assert_int_equal(count_of(answer->body, "event: plugins\ndata: {\"reset\":false"), 1);
    assert_int_equal(count_of(answer->body, "the disk is \\u003cfull\\u003e"), 2);
    assert_int_equal(count_of(answer->body, "io.berth.http.v1.page"), 0);
    answer_destroy(answer);
}

static void costs_follow_at_each_interval_and_nothing_else(void **state)
{
    struct answer *answer = ask(*state, "/events", "", NULL);

    answer->length = 0;
    answer->body[0] = '\0';
    berth_testing_advance(*state, 3500);
    assert_int_equal(count_of(answer->body, "event: costs\n"), 3);
    assert_int_equal(count_of(answer->body, "event: plugins\n"), 0);
    assert_int_equal(count_of(answer->body, "event: status\n"), 0);
    answer_destroy(answer);
}

static void who_reads_slowly_gets_the_last_state_only(void **state)
{
    struct berth_testing *testing = *state;
    struct answer *answer;

    berth_testing_provide(testing, "io.berth.store.v1.lmdb", NULL, NULL);
    answer = ask(testing, "/events", "", NULL);
    answer->length = 0;
    answer->body[0] = '\0';
    answer->is_slow = true;
    for (int i = 0; i < 20; i++) {
        char reason[32];

        snprintf(reason, sizeof(reason), "reason number %d", i);
        berth_testing_set_condition(testing, "io.berth.store.v1.lmdb", BERTH_UNAVAILABLE, reason);
        berth_testing_advance(testing, 1000);
    }
    assert_int_equal(answer->length, 0);
    answer->is_slow = false;
    answer->handler->on_writable(&answer->request);
    berth_testing_advance(testing, 1000);
    assert_int_equal(count_of(answer->body, "event: plugins\n"), 1);
    assert_int_equal(count_of(answer->body, "event: costs\n"), 1);
    assert_int_equal(count_of(answer->body, "reason number 19"), 2);
    assert_int_equal(count_of(answer->body, "reason number 18"), 0);
    answer_destroy(answer);
}

static void watchers_beyond_the_limit_are_told_to_come_back(void **state)
{
    struct answer *first = ask(*state, "/events", "", NULL), *second = ask(*state, "/events", "", NULL);
    struct answer *third = ask(*state, "/events", "", NULL);

    assert_int_equal(third->status, 503);
    assert_true(has_header(third, "Retry-After: 5"));
    answer_destroy(third);
    answer_destroy(first);
    third = ask(*state, "/events", "", NULL);
    assert_int_equal(third->status, 200);
    answer_destroy(third);
    answer_destroy(second);
}

static void a_client_that_has_gone_is_forgotten(void **state)
{
    struct answer *answer = ask(*state, "/events", "", NULL);

    answer->is_gone = true;
    berth_testing_advance(*state, 2000);
    answer_destroy(answer);
    berth_testing_advance(*state, 2000);
}

static void draining_ends_the_streams_and_refuses_others(void **state)
{
    struct berth_testing *testing = plugin_run(NULL, "enabled: true");
    struct answer *answer = ask(testing, "/events", "", NULL), *late;
    struct berth_error err;

    assert_int_equal(berth_testing_drain(testing, &err), BERTH_OK);
    assert_true(answer->has_ended);
    late = ask(testing, "/events", "", NULL);
    assert_int_equal(late->status, 503);
    answer_destroy(late);
    answer_destroy(answer);
    plugin_destroy(testing);
}

static void streams_of_a_page_that_is_replaced_may_come_back(void **state)
{
    struct answer *answer = ask(*state, "/events", "", NULL), *late;

    plugin_drain_for_another(*state);
    assert_true(answer->has_ended);
    late = ask(*state, "/events", "", NULL);
    assert_int_equal(late->status, 200);
    answer_destroy(late);
    answer_destroy(answer);
}

static void changed_limits_are_in_effect(void **state)
{
    struct answer *first = ask(*state, "/events", "", NULL), *second;

    assert_int_equal(plugin_reconfigure(*state, "{enabled: true, max_watchers: 1, log_bytes: 4KiB}"),
                     BERTH_OK);
    second = ask(*state, "/events", "", NULL);
    assert_int_equal(second->status, 503);
    answer_destroy(second);
    assert_int_equal(plugin_reconfigure(*state, "{enabled: true, max_watchers: 0}"), BERTH_INVALID_ARGUMENT);
    assert_int_equal(plugin_reconfigure(*state, "{enabled: true, max_watchers: 2}"), BERTH_OK);
    second = ask(*state, "/events", "", NULL);
    assert_int_equal(second->status, 200);
    answer_destroy(second);
    answer_destroy(first);
}

/* The log. */

static size_t told_of;

static bool next_line(const struct berth_inspect *inspect, struct berth_log_follower *follower,
                      struct berth_log_line *ret_line)
{
    static char text[64];

    if (told_of == 0)
        return false;
    snprintf(text, sizeof(text), "line with %zu to go", --told_of);
    *ret_line = (struct berth_log_line){.size = sizeof(*ret_line),
                                        .time_ns = 5,
                                        .level = BERTH_LOG_WARN,
                                        .text = text,
                                        .uri = told_of % 2 ? "a.v1.b" : NULL};
    return true;
}

static void (*when_lines)(void *context);
static void *when_lines_context;

static struct berth_log_follower *follow_log(const struct berth_inspect *inspect,
                                             const struct berth_log_filter *filter,
                                             void (*on_lines)(void *context), void *context)
{
    when_lines = on_lines;
    when_lines_context = context;
    return (struct berth_log_follower *)&when_lines;
}

static void unfollow_log(const struct berth_inspect *inspect, struct berth_log_follower *follower)
{
    when_lines = NULL;
}

static void on_added(void *context)
{
    ++*(int *)context;
}

static void the_newest_lines_are_kept_within_the_bound(void **state)
{
    const struct berth_inspect inspect = {.size = sizeof(inspect),
                                          .follow_log = follow_log,
                                          .next_line = next_line,
                                          .unfollow_log = unfollow_log};
    struct berth_json_writer json = {0};
    struct lines lines;
    int added = 0;

    lines_init(&lines, &inspect, 4096, on_added, &added);
    told_of = 1000;
    when_lines(when_lines_context);
    assert_int_equal(added, 1);
    assert_int_equal(lines.last, 1000);
    assert_true(lines.bytes <= 4096 && lines.bytes > 3000);
    lines_report(&lines, &json, NULL, 998, NULL);
    assert_json(
        &json,
        "[{\"number\":999,\"time_ns\":5,\"level\":\"warn\",\"uri\":\"a.v1.b\",\"text\":\"line with 1 to "
        "go\"},{\"number\":1000,\"time_ns\":5,\"level\":\"warn\",\"uri\":null,\"text\":\"line with 0 to "
        "go\"}]");
    lines_report(&lines, &json, NULL, 998, "a.v1.b");
    assert_json(
        &json,
        "[{\"number\":999,\"time_ns\":5,\"level\":\"warn\",\"uri\":\"a.v1.b\",\"text\":\"line with 1 to "
        "go\"}]");
    lines_set_max(&lines, 200);
    assert_true(lines.bytes <= 200 && lines.bytes > 0);
    lines_finish(&lines);
    assert_null(when_lines);
}

/* What a host could tell. */

static void a_process_and_a_newer_version_are_told(void **state)
{
    const struct berth_isolation isolation = {.size = sizeof(isolation), .process = 4711, .restarts = 2};
    struct berth_plugin_info plugin = {
        .size = sizeof(plugin),
        .uri = "a.v1.z",
        .version = "1.0",
        .newest_version = "1.1",
        .held_back = "2.0",
        .isolation = &isolation,
    };
    struct berth_json_writer json = {0};

    report_plugin(&json, &plugin);
    berth_json_raw(&json, "", 1);
    assert_non_null(strstr(json.bytes, "\"version\":\"1.0\",\"newest_version\":\"1.1\",\"held_back\":\"2.0\","
                                       "\"isolated\":true,\"process\":4711,\"restarts\":2"));
    berth_json_finish(&json);
    plugin.size = offsetof(struct berth_plugin_info, newest_version);
    report_plugin(&json, &plugin);
    berth_json_raw(&json, "", 1);
    assert_non_null(strstr(json.bytes, "\"version\":\"1.0\",\"newest_version\":null,\"held_back\":null,"
                                       "\"isolated\":false,\"process\":null,\"restarts\":null"));
    berth_json_finish(&json);
}

static void visit_none(const struct berth_inspect *inspect,
                       bool (*visit)(void *context, const struct berth_plugin_info *plugin), void *context)
{
}

static void modules_that_stay_in_memory_are_told(void **state)
{
    static const struct berth_resident residents[] = {
        {"greeter 1.2.0", "/greeter.so", "a thread of it runs", 8192}};
    const struct berth_daemon_info daemon = {
        .size = sizeof(daemon), .version = "0.1.0", .residents = residents, .resident_count = 1};
    const struct berth_inspect inspect = {
        .size = offsetof(struct berth_inspect, daemon_costs), .daemon = &daemon, .each = visit_none};
    struct berth_json_writer json = {0};

    report_status(&json, &inspect);
    berth_json_raw(&json, "", 1);
    assert_non_null(strstr(json.bytes,
                           "\"residents\":[{\"module\":\"greeter 1.2.0\",\"path\":\"/greeter.so\","
                           "\"reason\":\"a thread of it runs\",\"bytes\":8192}]"));
    berth_json_finish(&json);
}

static void edges_to_everybody_are_left_out(void **state)
{
    static const char *const wants[] = {"*"};
    static const struct berth_edge edges[] = {{"a.v1.x", "*", false}, {"a.v1.y", "a.v1", true}};
    const struct berth_plugin_info plugin = {
        .size = sizeof(plugin),
        .uri = "a.v1.z",
        .state = BERTH_STATE_READY,
        .wants = {wants, 1},
        .edges = edges,
        .edge_count = 2,
        .condition = BERTH_UNAVAILABLE,
        .condition_reason = "tired",
    };
    struct berth_json_writer json = {0};

    report_plugin(&json, &plugin);
    berth_json_raw(&json, "", 1);
    assert_non_null(strstr(
        json.bytes, "\"edges\":[{\"provider\":\"a.v1.y\",\"requirement\":\"a.v1\",\"binding\":true}]"));
    assert_non_null(strstr(json.bytes, "\"condition\":\"UNAVAILABLE\",\"condition_reason\":\"tired\""));
    berth_json_finish(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_escaped_where_they_could_harm),
        cmocka_unit_test(members_and_numbers_are_separated),
        cmocka_unit_test(a_text_ends_at_its_bound),
        cmocka_unit_test_setup_teardown(every_file_is_served_with_its_type_and_a_strict_policy, set_up,
                                        plugin_tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_the_client_has_is_not_sent_again, set_up,
                                        plugin_tear_down),
        cmocka_unit_test_setup_teardown(the_prefix_alone_leads_to_the_folder, set_up, plugin_tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_refused, set_up, plugin_tear_down),
        cmocka_unit_test_setup_teardown(a_uri_of_any_length_is_refused_within_bounds, set_up,
                                        plugin_tear_down),
        cmocka_unit_test_setup_teardown(data_is_for_pages_of_this_origin_alone, set_up, plugin_tear_down),
        cmocka_unit_test_setup_teardown(one_plugin_is_found_by_its_encoded_uri, set_up, plugin_tear_down),
        cmocka_unit_test_setup_teardown(settings_are_those_of_one_plugin, set_up, plugin_tear_down),
        cmocka_unit_test_setup_teardown(a_stream_begins_with_all_and_goes_on_with_what_changes, set_up,
                                        plugin_tear_down),
        cmocka_unit_test_setup_teardown(costs_follow_at_each_interval_and_nothing_else, set_up,
                                        plugin_tear_down),
        cmocka_unit_test_setup_teardown(who_reads_slowly_gets_the_last_state_only, set_up, plugin_tear_down),
        cmocka_unit_test_setup_teardown(watchers_beyond_the_limit_are_told_to_come_back, set_up,
                                        plugin_tear_down),
        cmocka_unit_test_setup_teardown(a_client_that_has_gone_is_forgotten, set_up, plugin_tear_down),
        cmocka_unit_test(draining_ends_the_streams_and_refuses_others),
        cmocka_unit_test_setup_teardown(streams_of_a_page_that_is_replaced_may_come_back, set_up,
                                        plugin_tear_down),
        cmocka_unit_test_setup_teardown(changed_limits_are_in_effect, set_up, plugin_tear_down),
        cmocka_unit_test(the_newest_lines_are_kept_within_the_bound),
        cmocka_unit_test(a_process_and_a_newer_version_are_told),
        cmocka_unit_test(modules_that_stay_in_memory_are_told),
        cmocka_unit_test(edges_to_everybody_are_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
