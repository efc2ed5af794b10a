/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 9113 section 8, request by request. */
#include <string.h>

#include <tests/cmocka.h>

#include <sdk/rpc/http2/http_message.h>

#define FIELDS_MAX 8

struct field {
    const char *name;
    const char *value;
    /** 0: to the NUL. */
    size_t value_length;
};

/* @return the first complaint about the fields and the end of their block. */
static const char *check_block(struct http_message *message, const struct field *fields, size_t count,
                               bool is_last)
{
    for (size_t i = 0; i < count && fields[i].name != NULL; i++) {
        const char *value = fields[i].value;
        size_t length = fields[i].value_length > 0 ? fields[i].value_length : strlen(value);
        const char *wrong;

        http_message_strip(fields[i].name, strlen(fields[i].name), &value, &length);
        wrong = http_message_add_field(message, fields[i].name, strlen(fields[i].name), value, length);
        if (wrong != NULL)
            return wrong;
    }
    return http_message_end_fields(message, is_last);
}

#define METHOD                                                                                               \
    {                                                                                                        \
        ":method", "POST", 0                                                                                 \
    }
#define SCHEME                                                                                               \
    {                                                                                                        \
        ":scheme", "http", 0                                                                                 \
    }
#define PATH                                                                                                 \
    {                                                                                                        \
        ":path", "/a.B/C", 0                                                                                 \
    }

static void a_request_is_well_formed_whatever_its_authority(void **state)
{
    static const struct field cases[][FIELDS_MAX] = {
        {METHOD, SCHEME, PATH},
        {METHOD, SCHEME, PATH, {":authority", "localhost", 0}},
        {METHOD, SCHEME, PATH, {":authority", "", 0}},
        {METHOD, SCHEME, PATH, {":authority", "/run/x.sock", 0}},
        {METHOD, SCHEME, PATH, {":authority", "%2Frun%2Fx.sock", 0}},
        {METHOD, SCHEME, PATH, {":authority", " odd \"text\" \xc3\xbc @:99999 ", 0}},
        {{":authority", "x", 0}, PATH, SCHEME, METHOD, {"host", "y", 0}},
        {METHOD, {":scheme", "https", 0}, PATH, {"te", "trailers", 0}},
        {METHOD, {":scheme", "git+ssh.2-x", 0}, PATH, {"te", "Trailers", 0}},
        {METHOD,
         SCHEME,
         PATH,
         {"te", " trailers\t", 0},
         {"x-a", " \tv w\t ", 0},
         {"x-b", "", 0},
         {"x-c", "  ", 0}},
        {METHOD, SCHEME, PATH, {"x!#$%&'*+-.^_`|~0", "\t\x80\xff~", 0}},
        {{":method", "OPTIONS", 0}, SCHEME, {":path", "*", 0}},
        {{":method", "M-SEARCH", 0}, SCHEME, {":path", "/\xc3\xbc?a=b#c", 0}},
        {METHOD, SCHEME, PATH, {"content-length", "0", 0}},
        {{":method", "CONNECT", 0}, {":authority", "x:1", 0}},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_message message = {0};
        const char *wrong = check_block(&message, cases[i], FIELDS_MAX, true);

        if (wrong != NULL)
            fail_msg("case %zu: %s", i, wrong);
    }
}

static void what_section_8_forbids_is_malformed(void **state)
{
    static const struct {
        struct field fields[FIELDS_MAX];
        const char *wrong;
    } cases[] = {
        /* 8.3: first, once, known, of a request, none missing, none empty. */
        {{{NULL}}, "missing :method, :scheme or :path"},
        {{SCHEME, PATH}, "missing :method, :scheme or :path"},
        {{METHOD, PATH}, "missing :method, :scheme or :path"},
        {{METHOD, SCHEME}, "missing :method, :scheme or :path"},
        {{{":method", "CONNECT", 0}, SCHEME, PATH}, "CONNECT with :scheme or :path"},
        {{METHOD, METHOD}, "duplicate pseudo-header field"},
        {{SCHEME, SCHEME}, "duplicate pseudo-header field"},
        {{PATH, PATH}, "duplicate pseudo-header field"},
        {{{":authority", "", 0}, {":authority", "", 0}}, "duplicate pseudo-header field"},
        {{METHOD, SCHEME, {"x-a", "b", 0}, PATH}, "pseudo-header field after a regular one"},
        {{{":status", "200", 0}}, "unknown pseudo-header field"},
        {{{":protocol", "websocket", 0}}, "unknown pseudo-header field"},
        {{{":Path", "/", 0}}, "unknown pseudo-header field"},
        {{{":", "x", 0}}, "unknown pseudo-header field"},
        {{{":path", "", 0}}, "invalid :path"},
        {{{":path", "no-slash", 0}}, "invalid :path"},
        {{{":path", "/a b", 0}}, "invalid :path"},
        {{{":path", " /a", 0}}, "invalid :path"},
        {{{":path", "/a\0b", 4}}, "invalid :path"},
        {{{":path", "*x", 0}}, "invalid :path"},
        {{METHOD, SCHEME, {":path", "*", 0}}, "invalid :path"},
        {{{":method", "", 0}}, "invalid :method"},
        {{{":method", "PO ST", 0}}, "invalid :method"},
        {{{":method", "POST\0", 5}}, "invalid :method"},
        {{{":scheme", "", 0}}, "invalid :scheme"},
        {{{":scheme", "1http", 0}}, "invalid :scheme"},
        {{{":scheme", "ht tp", 0}}, "invalid :scheme"},
        {{{":scheme", "http\0", 5}}, "invalid :scheme"},
        {{{":authority", "a\nb", 0}}, "invalid byte in :authority"},
        {{{":authority", "a\0b", 3}}, "invalid byte in :authority"},
        /* 8.2.1 */
        {{METHOD, {"", "x", 0}}, "invalid byte in a field's name"},
        {{METHOD, {"Upper", "x", 0}}, "invalid byte in a field's name"},
        {{METHOD, {"a b", "x", 0}}, "invalid byte in a field's name"},
        {{METHOD, {"a:b", "x", 0}}, "invalid byte in a field's name"},
        {{METHOD, {"a\x80", "x", 0}}, "invalid byte in a field's name"},
        {{METHOD, {"a\n", "x", 0}}, "invalid byte in a field's name"},
        {{METHOD, {"a", "x\ny", 0}}, "invalid byte in a field's value"},
        {{METHOD, {"a", "x\r", 0}}, "invalid byte in a field's value"},
        {{METHOD, {"a", "x\0y", 3}}, "invalid byte in a field's value"},
        {{METHOD, {"a", "\x7f", 0}}, "invalid byte in a field's value"},
        {{METHOD, {"a", "\x1b[31m", 0}}, "invalid byte in a field's value"},
        /* 8.2.2 */
        {{METHOD, {"connection", "close", 0}}, "connection-specific field"},
        {{METHOD, {"keep-alive", "1", 0}}, "connection-specific field"},
        {{METHOD, {"proxy-connection", "x", 0}}, "connection-specific field"},
        {{METHOD, {"transfer-encoding", "chunked", 0}}, "connection-specific field"},
        {{METHOD, {"upgrade", "h2c", 0}}, "connection-specific field"},
        {{METHOD, {"te", "deflate", 0}}, "te other than trailers"},
        {{METHOD, {"te", "trailers, deflate", 0}}, "te other than trailers"},
        {{METHOD, {"te", "", 0}}, "te other than trailers"},
        /* 8.1.1 */
        {{METHOD, {"content-length", "", 0}}, "invalid content-length"},
        {{METHOD, {"content-length", "+1", 0}}, "invalid content-length"},
        {{METHOD, {"content-length", "-1", 0}}, "invalid content-length"},
        {{METHOD, {"content-length", "1 2", 0}}, "invalid content-length"},
        {{METHOD, {"content-length", "99999999999999999999", 0}}, "invalid content-length"},
        {{METHOD, {"content-length", "1", 0}, {"content-length", "1", 0}}, "duplicate content-length"},
        {{METHOD, SCHEME, PATH, {"content-length", "1", 0}}, "less content than content-length"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_message message = {0};
        const char *wrong = check_block(&message, cases[i].fields, FIELDS_MAX, true);

        if (wrong == NULL || strcmp(wrong, cases[i].wrong) != 0)
            fail_msg("case %zu: %s instead of %s", i, wrong, cases[i].wrong);
    }
}

static struct http_message begin(const char *content_length)
{
    const struct field fields[] = {METHOD, SCHEME, PATH, {"content-length", content_length, 0}};
    struct http_message message = {0};

    assert_null(check_block(&message, fields, content_length == NULL ? 3 : 4, false));
    return message;
}

static void trailers_end_the_request_and_have_no_pseudo_headers(void **state)
{
    static const struct field good[] = {{"x-a", "b", 0}};
    static const struct field pseudo[] = {{":path", "/", 0}};
    static const struct field length[] = {{"content-length", "1", 0}};
    static const struct field upper[] = {{"X", "1", 0}};
    struct http_message message = begin(NULL);

    assert_null(check_block(&message, good, 1, true));
    message = begin(NULL);
    assert_string_equal(check_block(&message, good, 1, false), "trailers that do not end the request");
    message = begin(NULL);
    assert_string_equal(check_block(&message, pseudo, 1, true), "pseudo-header field in the trailers");
    message = begin(NULL);
    assert_string_equal(check_block(&message, length, 1, true), "less content than content-length");
    message = begin(NULL);
    assert_string_equal(check_block(&message, upper, 1, true), "invalid byte in a field's name");
    message = begin("3");
    assert_null(http_message_add_data(&message, 2, false));
    assert_string_equal(check_block(&message, good, 1, true), "less content than content-length");
}

static void the_content_is_as_long_as_was_announced(void **state)
{
    struct http_message message = begin("3");

    assert_null(http_message_add_data(&message, 1, false));
    assert_null(http_message_add_data(&message, 2, true));
    message = begin("3");
    assert_string_equal(http_message_add_data(&message, 4, false), "more content than content-length");
    message = begin("3");
    assert_string_equal(http_message_add_data(&message, 2, true), "less content than content-length");
    message = begin(NULL);
    assert_null(http_message_add_data(&message, 1000, false));
    assert_null(http_message_add_data(&message, 0, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_well_formed_whatever_its_authority),
        cmocka_unit_test(what_section_8_forbids_is_malformed),
        cmocka_unit_test(trailers_end_the_request_and_have_no_pseudo_headers),
        cmocka_unit_test(the_content_is_as_long_as_was_announced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
