/* SPDX-License-Identifier: Apache-2.0 */
/* What is in ttrpc's frames: Request, Response and Status as Protocol Buffers write them. */
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#include <sdk/rpc/ttrpc/message.h>

#define SPAN(text) ((struct span){(const unsigned char *)(text), sizeof(text) - 1})

static void assert_span(struct span span, const char *wanted)
{
    assert_int_equal(span.length, strlen(wanted));
    if (span.length > 0)
        assert_memory_equal(span.bytes, wanted, span.length);
}

/* The memory ends with the message, so that a sanitizer sees a read past it. */
static const char *parse_request(struct span bytes, struct ttrpc_request *ret_request)
{
    unsigned char *copy = malloc(bytes.length > 0 ? bytes.length : 1);
    const char *wrong;

    if (bytes.length > 0)
        memcpy(copy, bytes.bytes, bytes.length);
    wrong = ttrpc_request_parse((struct span){copy, bytes.length}, ret_request);
    free(copy);
    return wrong;
}

static void a_request_is_read_as_go_writes_it(void **state)
{
    const struct span bytes = SPAN("\x0a\x03"
                                   "a.B"
                                   "\x12\x01"
                                   "C"
                                   "\x1a\x02\x08\x01"
                                   "\x20\x80\x94\xeb\xdc\x03"
                                   "\x2a\x07\x0a\x01k\x12\x02v1"
                                   "\x2a\x07\x0a\x01k\x12\x02v2");
    struct span rest = bytes;
    struct ttrpc_request request;
    struct ttrpc_pair pair;

    assert_null(ttrpc_request_parse(bytes, &request));
    assert_span(request.service, "a.B");
    assert_span(request.method, "C");
    assert_true(request.has_payload);
    assert_span(request.payload, "\x08\x01");
    assert_int_equal(request.timeout_nano, 1000000000);
    assert_int_equal(request.metadata_count, 2);
    assert_int_equal(request.metadata_bytes, 2 * (3 + 32));
    assert_true(ttrpc_metadata_next(&rest, &pair));
    assert_span(pair.key, "k");
    assert_span(pair.value, "v1");
    assert_true(ttrpc_metadata_next(&rest, &pair));
    assert_span(pair.value, "v2");
    assert_false(ttrpc_metadata_next(&rest, &pair));
}

static void a_request_survives_writing_and_reading(void **state)
{
    const struct berth_metadata metadata[] = {{"k", "one", 3}, {"k", "", 0}};
    size_t size = ttrpc_request_size("/pkg.Service/Method", -5, metadata, 2);
    unsigned char bytes[256];
    struct ttrpc_request request;
    struct span rest = {bytes, size};
    struct ttrpc_pair pair;

    assert_true(size < sizeof(bytes));
    ttrpc_request_write(bytes, "/pkg.Service/Method", -5, metadata, 2);
    assert_null(ttrpc_request_parse(rest, &request));
    assert_span(request.service, "pkg.Service");
    assert_span(request.method, "Method");
    assert_false(request.has_payload);
    assert_int_equal(request.timeout_nano, -5);
    assert_true(ttrpc_metadata_next(&rest, &pair));
    assert_span(pair.value, "one");
    assert_true(ttrpc_metadata_next(&rest, &pair));
    assert_span(pair.value, "");
}

static void an_absent_payload_differs_from_an_empty_one(void **state)
{
    struct ttrpc_request request;

    assert_null(ttrpc_request_parse(SPAN("\x0a\x01"
                                         "a"),
                                    &request));
    assert_false(request.has_payload);
    assert_null(ttrpc_request_parse(SPAN("\x1a\x00"), &request));
    assert_true(request.has_payload);
    assert_int_equal(request.payload.length, 0);
}

static void fields_of_later_versions_are_skipped(void **state)
{
    struct ttrpc_request request;

    assert_null(ttrpc_request_parse(SPAN("\x30\x05"
                                         "\x39\x01\x02\x03\x04\x05\x06\x07\x08"
                                         "\x45\x01\x02\x03\x04"
                                         "\x4b\x08\x01\x53\x54\x4c"
                                         "\x0a\x01s"),
                                    &request));
    assert_span(request.service, "s");
}

static void bytes_that_are_no_message_are_refused(void **state)
{
    const struct {
        struct span bytes;
        const char *wrong;
    } cases[] = {
        {SPAN("\x0a"), "unexpected EOF"},
        {SPAN("\x0a\x05"
              "abcd"),
         "unexpected EOF"},
        {SPAN("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "unexpected EOF"},
        {SPAN("\x20\x80"), "unexpected EOF"},
        {SPAN("\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), "cannot parse invalid wire-format data"},
        {SPAN("\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "cannot parse invalid wire-format data"},
        {SPAN("\x00\x01"), "cannot parse invalid wire-format data"},
        {SPAN("\x0e\x01"), "cannot parse invalid wire-format data"},
        {SPAN("\x0c"), "cannot parse invalid wire-format data"},
        {SPAN("\x0b\x14"), "cannot parse invalid wire-format data"},
        {SPAN("\x0b\x08"), "unexpected EOF"},
        {SPAN("\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"),
         "cannot parse invalid wire-format data"},
        {SPAN("\x0a\x01\xff"), "string field contains invalid UTF-8"},
        {SPAN("\x2a\x03\x0a\x01\xc0"), "string field contains invalid UTF-8"},
        {SPAN("\x2a\x03\x0a\x02k"), "unexpected EOF"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ttrpc_request request;
        const char *wrong = parse_request(cases[i].bytes, &request);

        assert_non_null(wrong);
        assert_string_equal(wrong, cases[i].wrong);
    }
}

static void a_status_takes_over_the_details_of_another(void **state)
{
    const struct span details = SPAN("\x08\x05\x12\x03old\x1a\x02\x0a\x00\x1a\x03\x12\x01x");
    unsigned char bytes[64];
    size_t size = ttrpc_status_size(BERTH_NOT_FOUND, SPAN("gone"), details);
    struct ttrpc_response response;

    ttrpc_status_write(bytes, BERTH_NOT_FOUND, SPAN("gone"), details);
    assert_int_equal(size, 2 + 2 + 6 + 4 + 5);
    assert_null(ttrpc_response_parse((struct span){bytes, size}, &response));
    assert_int_equal(response.code, BERTH_NOT_FOUND);
    assert_span(response.message, "gone");
    assert_int_equal(response.details.length, size - 2);
    assert_false(response.has_payload);
}

static void details_that_are_no_status_are_left_out(void **state)
{
    unsigned char bytes[64];
    size_t size = ttrpc_status_size(BERTH_ABORTED, SPAN(""), SPAN("\x1a\x09zz"));
    struct ttrpc_response response;

    ttrpc_status_write(bytes, BERTH_ABORTED, SPAN(""), SPAN("\x1a\x09zz"));
    assert_int_equal(size, 4);
    assert_null(ttrpc_response_parse((struct span){bytes, size}, &response));
    assert_int_equal(response.code, BERTH_ABORTED);
    assert_int_equal(response.details.length, 0);
}

static void a_response_brings_a_payload(void **state)
{
    unsigned char bytes[TTRPC_PAYLOAD_PREFIX_MAX + 300] = {0};
    size_t prefix = ttrpc_response_payload_prefix(bytes, 300);
    struct ttrpc_response response;

    assert_int_equal(prefix, 3);
    assert_null(ttrpc_response_parse((struct span){bytes, prefix + 300}, &response));
    assert_true(response.has_payload);
    assert_int_equal(response.payload.length, 300);
    assert_int_equal(response.code, BERTH_OK);
    assert_int_equal(ttrpc_request_payload_prefix(bytes, TTRPC_DATA_MAX), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_read_as_go_writes_it),
        cmocka_unit_test(a_request_survives_writing_and_reading),
        cmocka_unit_test(an_absent_payload_differs_from_an_empty_one),
        cmocka_unit_test(fields_of_later_versions_are_skipped),
        cmocka_unit_test(bytes_that_are_no_message_are_refused),
        cmocka_unit_test(a_status_takes_over_the_details_of_another),
        cmocka_unit_test(details_that_are_no_status_are_left_out),
        cmocka_unit_test(a_response_brings_a_payload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
