/* SPDX-License-Identifier: Apache-2.0 */
/* What is read as an HTTP/1.1 request, and what is refused, in one piece and byte by byte. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#include <sdk/rpc/http1/reader.h>

#define BODY_MAX 1024

static struct budget budget;

static struct http1_reader make_reader(void)
{
    budget = (struct budget){.limit = 64 * 1024};
    return (struct http1_reader){.max_head_bytes = 2048, .max_body_bytes = BODY_MAX, .budget = &budget};
}

/* Reads until the request is whole or refused. @return the bytes used up. */
static size_t read_all(struct http1_reader *reader, const char *text, size_t length, size_t step,
                       enum http1_read *ret_result)
{
    size_t at = 0;
    size_t used;

    do {
        size_t piece = length - at < step ? length - at : step;

        *ret_result = http1_read(reader, (const uint8_t *)text + at, piece, &used);
        at += used;
    } while (*ret_result == HTTP1_READ_HEAD || (*ret_result == HTTP1_READ_MORE && at < length));
    return at;
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static const struct refusal {
    const char *text;
    unsigned status;
} refusals[] = {
    {"GET / HTTP/1.1\nHost: a\n\n", 400},
    {GET "X: b\n\r\n", 400},
    {GET "X: b\rY: c\r\n\r\n", 400},
    {GET "X: b\r\r\n\r\n", 400},
    {GET "X: b\r\n c\r\n\r\n", 400},
    {GET "X: b\r\n\tc\r\n\r\n", 400},
    {GET "X : b\r\n\r\n", 400},
    {GET "X y: b\r\n\r\n", 400},
    {GET ": b\r\n\r\n", 400},
    {GET "X\r\n\r\n", 400},
    {GET "X: \001\r\n\r\n", 400},
    {GET "X: \177\r\n\r\n", 400},
    {GET "Host: a\r\n\r\n", 400},
    {GET "Host: b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n\r\n", 400},
    {"GET / HTTP/1.0\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
    {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
    {"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /\r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/1\r\nHost: a\r\n\r\n", 400},
    {"GET / http/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
    {"G\"T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /%0 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /%0a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /.. HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /a/../../b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /a/%2e%2e/%2E%2e/b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /a/..%2f..%2fb HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"\r\n\r\n\r\n" GET "\r\n", 400},
    {"\n" GET "\r\n", 400},
    {POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n", 400},
    {POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400},
    {POST "Content-Length: 1, 1\r\n\r\na", 400},
    {POST "Content-Length: +1\r\n\r\na", 400},
    {POST "Content-Length: -1\r\n\r\na", 400},
    {POST "Content-Length: 0x1\r\n\r\na", 400},
    {POST "Content-Length: 1 1\r\n\r\na", 400},
    {POST "Content-Length:\r\n\r\na", 400},
    {POST "Content-Length: 99999999999999999999999999\r\n\r\na", 400},
    {POST "Content-Length: 18446744073709551617\r\n\r\na", 400},
    {POST "Content-Length : 1\r\n\r\na", 400},
    {POST "Content-Length: 1025\r\n\r\n", 413},
    {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {POST "Transfer-Encoding: identity\r\n\r\n", 501},
    {POST "Transfer-Encoding: chunked, identity\r\n\r\n", 501},
    {POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
    {POST "Transfer-Encoding: xchunked\r\n\r\n", 501},
    {POST "Transfer-Encoding:\r\n\r\n", 501},
    {"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {POST "Expect: 200-maybe\r\n\r\n", 417},
    {CHUNKED "1\na\r\n0\r\n\r\n", 400},
    {CHUNKED "1\rXa\r\n0\r\n\r\n", 400},
    {CHUNKED "1;x\rXa\r\n0\r\n\r\n", 400},
    {CHUNKED "1\r\nab\r\n0\r\n\r\n", 400},
    {CHUNKED "1\r\naXY0\r\n\r\n", 400},
    {CHUNKED "1\r\na\n0\r\n\r\n", 400},
    {CHUNKED "0x1\r\na\r\n0\r\n\r\n", 400},
    {CHUNKED "+1\r\na\r\n0\r\n\r\n", 400},
    {CHUNKED " 1\r\na\r\n0\r\n\r\n", 400},
    {CHUNKED "1 \r\na\r\n0\r\n\r\n", 400},
    {CHUNKED "\r\n", 400},
    {CHUNKED "g\r\n", 400},
    {CHUNKED "10000000000000001\r\na", 400},
    {CHUNKED "fffffffffffffff\r\na", 413},
    {CHUNKED "401\r\n", 413},
    {CHUNKED "0\r\nX\r\n\r\n", 400},
    {CHUNKED "0\r\nX: a\r\n b\r\n\r\n", 400},
    {CHUNKED "0\r\nX: a\n\r\n", 400},
};

static void what_two_readers_could_read_in_two_ways_is_refused(void **state)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        for (size_t step = 1; step < 4096; step *= 64) {
            struct http1_reader reader = make_reader();
            enum http1_read result;

            read_all(&reader, refusals[i].text, strlen(refusals[i].text), step, &result);
            if (result != HTTP1_READ_FAILED || reader.status != refusals[i].status)
                fail_msg("%s: %d %u %s", refusals[i].text, (int)result, reader.status,
                         reader.reason != NULL ? reader.reason : "-");
            assert_non_null(reader.reason);
            http1_reader_finish(&reader);
            assert_int_equal(budget.used, 0);
        }
}

static const struct acceptance {
    const char *text;
    const char *method;
    const char *path;
    const char *query;
    const char *body;
    bool closes;
} acceptances[] = {
    {GET "\r\n", "GET", "/", "", "", false},
    {"\r\n" GET "\r\n", "GET", "/", "", "", false},
    {GET "Connection: keep-alive, Close\r\n\r\n", "GET", "/", "", "", true},
    {"GET / HTTP/1.0\r\nhost: a\r\n\r\n", "GET", "/", "", "", true},
    {"GET /a%20b/./c/../d?e=%20&f HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/a b/d", "e=%20&f", "", false},
    {"GET /a/.. HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", "", "", false},
    {"GET /a/. HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/a/", "", "", false},
    {"GET /.../..a HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/.../..a", "", "", false},
    {"GET //a//../b? HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "//a/b", "", "", false},
    {"GET HTTP://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/b", "c", "", false},
    {POST "Content-Length: 3\r\n\r\nabc", "POST", "/", "", "abc", false},
    {POST "content-length:\t 3 \t\r\n\r\nabc", "POST", "/", "", "abc", false},
    {POST "Content-Length: 0\r\n\r\n", "POST", "/", "", "", false},
    {CHUNKED "0\r\n\r\n", "POST", "/", "", "", false},
    {CHUNKED "1\r\na\r\n02;n=\"v\"\r\nbc\r\n00\r\n\r\n", "POST", "/", "", "abc", false},
    {CHUNKED "3\r\na\r\n\r\n0\r\nX-Trailer: a\r\n\r\n", "POST", "/", "", "a\r\n", false},
    {POST "TRANSFER-ENCODING: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", "POST", "/", "", "a", false},
};

static void a_request_is_read_and_what_follows_is_left(void **state)
{
    for (size_t i = 0; i < sizeof(acceptances) / sizeof(acceptances[0]); i++)
        for (size_t step = 1; step < 4096; step *= 64) {
            const struct acceptance *expected = &acceptances[i];
            struct http1_reader reader = make_reader();
            enum http1_read result;
            char text[512];
            size_t used;

            snprintf(text, sizeof(text), "%sGET /next", expected->text);
            used = read_all(&reader, text, strlen(text), step, &result);
            if (result != HTTP1_READ_WHOLE)
                fail_msg("%s: %u %s", text, reader.status, reader.reason);
            assert_int_equal(used, strlen(expected->text));
            assert_string_equal(reader.method, expected->method);
            assert_string_equal(reader.path, expected->path);
            assert_string_equal(reader.query, expected->query);
            assert_string_equal(reader.host, "a");
            assert_int_equal(reader.body.length, strlen(expected->body));
            assert_memory_equal(reader.body.bytes != NULL ? reader.body.bytes : (void *)"", expected->body,
                                reader.body.length);
            assert_int_equal(reader.closes, expected->closes);
            http1_reader_next(&reader);
            assert_false(http1_reader_is_inside(&reader));
            assert_int_equal(budget.used, 0);
        }
}

/* The first field of a name. */
static const char *field_of(const struct http1_reader *reader, const char *name)
{
    for (size_t i = 0; i < reader->field_count; i++)
        if (strcmp(reader->fields[i].name, name) == 0)
            return reader->fields[i].value;
    return NULL;
}

static void fields_are_in_lower_case_and_trimmed(void **state)
{
    static const char text[] = GET "X-Long-NAME:  a b\tc \r\nEmpty:\r\nX: \xc3\xa4\r\n\r\n";
    struct http1_reader reader = make_reader();
    enum http1_read result;

    read_all(&reader, text, sizeof(text) - 1, sizeof(text), &result);
    assert_int_equal(result, HTTP1_READ_WHOLE);
    assert_int_equal(reader.field_count, 4);
    assert_string_equal(field_of(&reader, "x-long-name"), "a b\tc");
    assert_string_equal(field_of(&reader, "empty"), "");
    assert_string_equal(field_of(&reader, "x"), "\xc3\xa4");
    assert_null(field_of(&reader, "y"));
    http1_reader_finish(&reader);
}

static void a_nul_is_refused_wherever_it_is(void **state)
{
    static const char *const texts[] = {"GET /?HTTP/1.1\r\nHost: a\r\n\r\n",
                                        "GET / HTTP/1.1\r\nHost: ?\r\n\r\n",
                                        "GET / HTTP/1.1\r\nHost: a\r\nX?: a\r\n\r\n"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct http1_reader reader = make_reader();
        enum http1_read result;
        char text[64];

        strcpy(text, texts[i]);
        *strchr(text, '?') = '\0';
        read_all(&reader, text, strlen(texts[i]), 64, &result);
        assert_int_equal(result, HTTP1_READ_FAILED);
        assert_int_equal(reader.status, 400);
        http1_reader_finish(&reader);
    }
}

static unsigned status_of(const char *text, size_t length)
{
    struct http1_reader reader = make_reader();
    enum http1_read result;

    read_all(&reader, text, length, 100, &result);
    http1_reader_finish(&reader);
    assert_int_equal(budget.used, 0);
    return result == HTTP1_READ_FAILED ? reader.status : 0;
}

static void a_head_is_bounded(void **state)
{
    static char text[8192];
    size_t length = (size_t)snprintf(text, sizeof(text), "GET /");

    memset(text + length, 'a', 3000);
    assert_int_equal(status_of(text, length + 3000), 414);
    length = (size_t)snprintf(text, sizeof(text), GET "X: ");
    memset(text + length, 'a', 3000);
    assert_int_equal(status_of(text, length + 3000), 431);
    length = (size_t)snprintf(text, sizeof(text), GET);
    for (int i = 0; i < 99; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "a:b\r\n");
    memcpy(text + length, "\r\n", 2);
    assert_int_equal(status_of(text, length + 2), 0);
    memcpy(text + length, "a:b\r\n\r\n", 7);
    assert_int_equal(status_of(text, length + 7), 431);
}

static void what_is_between_chunks_is_bounded(void **state)
{
    static char text[64 * 1024];
    size_t length = (size_t)snprintf(text, sizeof(text), CHUNKED "1;");

    memset(text + length, 'x', 500);
    assert_int_equal(status_of(text, length + 500), 400);
    length = (size_t)snprintf(text, sizeof(text), CHUNKED);
    for (int i = 0; i < 300; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "1;%0100d\r\na\r\n", 0);
    assert_int_equal(status_of(text, length), 400);
    length = (size_t)snprintf(text, sizeof(text), CHUNKED "0\r\n");
    for (int i = 0; i < 300; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "trailer: a\r\n");
    assert_int_equal(status_of(text, length), 431);
}

static void a_body_beyond_the_budget_gets_503(void **state)
{
    static const char text[] = POST "Content-Length: 1000\r\n\r\n";
    struct http1_reader reader = make_reader();
    enum http1_read result;
    char body[1000] = {0};

    budget.limit = 1500;
    read_all(&reader, text, sizeof(text) - 1, 4096, &result);
    assert_int_equal(result, HTTP1_READ_MORE);
    read_all(&reader, body, sizeof(body), 4096, &result);
    assert_int_equal(result, HTTP1_READ_FAILED);
    assert_int_equal(reader.status, 503);
    http1_reader_finish(&reader);
    assert_int_equal(budget.used, 0);
}

static void a_length_is_not_allocated_on_its_announcement(void **state)
{
    static const char text[] = POST "Content-Length: 1024\r\n\r\n";
    struct http1_reader reader = make_reader();
    enum http1_read result;

    read_all(&reader, text, sizeof(text) - 1, 4096, &result);
    assert_int_equal(reader.body.capacity, 0);
    http1_reader_finish(&reader);
}

static void hosts_are_names_and_addresses_with_a_port(void **state)
{
    static const struct {
        const char *host;
        const char *name;
    } cases[] = {
        {"localhost", "localhost"},
        {"LocalHost:80", "localhost"},
        {"127.0.0.1:1", "127.0.0.1"},
        {"[::1]", "::1"},
        {"[::FFFF:1.2.3.4]:9", "::ffff:1.2.3.4"},
        {"a:", "a"},
        {":80", NULL},
        {"a:b", NULL},
        {"a b", NULL},
        {"[::1", NULL},
        {"[::1]x", NULL},
        {"[x]", NULL},
        {"a@b", NULL},
        {"a/b", NULL},
        {"::1", NULL},
        {"", NULL},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char name[32] = "";
        bool is_host = http1_host_name(cases[i].host, name, sizeof(name));

        if (is_host != (cases[i].name != NULL))
            fail_msg("%s", cases[i].host);
        if (is_host)
            assert_string_equal(name, cases[i].name);
    }
}

static void lists_are_searched_by_element(void **state)
{
    assert_true(http1_list_has("close", "close"));
    assert_true(http1_list_has("a, CLOSE ,b", "close"));
    assert_true(http1_list_has(",,close", "close"));
    assert_false(http1_list_has("closed", "close"));
    assert_false(http1_list_has("a close", "close"));
    assert_false(http1_list_has("", "close"));
}

static void the_first_fault_counts_however_the_bytes_arrive(void **state)
{
    static const char *const texts[] = {CHUNKED "3\r\najc\rr\n", GET "X: b\rc"};
    char text[4096];

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        /* Longer than any line may be, whose CR is in the part that fits. */
        int length = snprintf(text, sizeof(text), "%s%2100s", texts[i], "\n");

        for (size_t step = 1; step <= (size_t)length; step++) {
            struct http1_reader reader = make_reader();
            enum http1_read result;

            read_all(&reader, text, (size_t)length, step, &result);
            assert_int_equal(result, HTTP1_READ_FAILED);
            assert_int_equal(reader.status, 400);
            assert_string_equal(reader.reason, "a CR without LF");
            http1_reader_finish(&reader);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_two_readers_could_read_in_two_ways_is_refused),
        cmocka_unit_test(a_request_is_read_and_what_follows_is_left),
        cmocka_unit_test(fields_are_in_lower_case_and_trimmed),
        cmocka_unit_test(a_nul_is_refused_wherever_it_is),
        cmocka_unit_test(a_head_is_bounded),
        cmocka_unit_test(the_first_fault_counts_however_the_bytes_arrive),
        cmocka_unit_test(what_is_between_chunks_is_bounded),
        cmocka_unit_test(a_body_beyond_the_budget_gets_503),
        cmocka_unit_test(a_length_is_not_allocated_on_its_announcement),
        cmocka_unit_test(hosts_are_names_and_addresses_with_a_port),
        cmocka_unit_test(lists_are_searched_by_element),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
