/* SPDX-License-Identifier: Apache-2.0 */
/* The Connect protocol on a server of libberth-rpc: how calls end, wait and fail, byte by byte. */
#include "wire_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <tests/cmocka.h>

#define PROTO "application/proto"
#define STREAM "application/connect+proto"

/* What came until the server closed, with a NUL behind it. */
static char *got;
static size_t got_length;

static int start_with(const struct berth_rpc_server_options *options)
{
    return wire_serve(BERTH_RPC_HTTP, options);
}

static int start(void **state)
{
    return start_with(&(struct berth_rpc_server_options){0});
}

static int start_small(void **state)
{
    return start_with(&(struct berth_rpc_server_options){.max_send_message_bytes = 100 * 1024,
                                                         .max_recv_message_bytes = 1000,
                                                         .max_queued_bytes = 1024 * 1024});
}

static int stop(void **state)
{
    free(got);
    got = NULL;
    wire_end(false);
    return wire_join();
}

static int open_peer(void)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(place.sun_path, sizeof(place.sun_path), "%s", wire_path());
    assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&place, sizeof(place)) == 0);
    return fd;
}

static void send_request(int fd, const char *method, const char *type, const char *fields, const void *body,
                         size_t length)
{
    char head[8192];
    int head_length = snprintf(head, sizeof(head),
                               "POST /t.T/%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: %s\r\n"
                               "%sContent-Length: %zu\r\n\r\n",
                               method, type, fields, length);

    assert_true(head_length > 0 && head_length < (int)sizeof(head));
    assert_int_equal(send(fd, head, (size_t)head_length, MSG_NOSIGNAL), head_length);
    for (size_t sent = 0; sent < length;) {
        ssize_t some = send(fd, (const char *)body + sent, length - sent, MSG_NOSIGNAL);

        assert_true(some > 0);
        sent += (size_t)some;
    }
}

static void read_all(int fd)
{
    size_t capacity = 64 * 1024;
    ssize_t more;

    free(got);
    got = malloc(capacity);
    got_length = 0;
    while ((more = recv(fd, got + got_length, capacity - got_length - 1, 0)) > 0) {
        got_length += (size_t)more;
        if (capacity - got_length < 1024)
            got = realloc(got, capacity *= 2);
    }
    got[got_length] = '\0';
    close(fd);
}

static void call_with(const char *method, const char *type, const char *fields, const void *body,
                      size_t length)
{
    int fd = open_peer();

    send_request(fd, method, type, fields, body, length);
    read_all(fd);
}

static void call(const char *method, const void *body, size_t length)
{
    call_with(method, PROTO, "", body, length);
}

static const char *body_of(void)
{
    const char *end = strstr(got, "\r\n\r\n");

    assert_non_null(end);
    return end + 4;
}

static void assert_status(const char *status)
{
    assert_memory_equal(got, "HTTP/1.1 ", 9);
    if (strncmp(got + 9, status, strlen(status)) != 0)
        fail_msg("not %s: %s", status, got);
}

static void assert_error(const char *status, const char *body)
{
    assert_status(status);
    assert_non_null(strstr(got, "Content-Type: application/json\r\n"));
    assert_string_equal(body_of(), body);
}

/* The body of a stream, out of its chunks. @return its length. */
static size_t join_chunks(void)
{
    char *from = (char *)(uintptr_t)body_of();
    char *to = got;
    size_t total = 0;

    assert_status("200");
    assert_non_null(strstr(got, "Content-Type: " STREAM "\r\n"));
    for (;;) {
        char *end;
        size_t length = strtoul(from, &end, 16);

        assert_memory_equal(end, "\r\n", 2);
        if (length == 0)
            break;
        assert_true(end + 2 + length + 2 <= got + got_length);
        memmove(to + total, end + 2, length);
        total += length;
        from = end + 2 + length + 2;
    }
    got_length = total;
    got[total] = '\0';
    return total;
}

static size_t length_at(size_t at)
{
    const unsigned char *bytes = (const unsigned char *)got + at;

    assert_true(at + 5 <= got_length);
    return (size_t)bytes[1] << 24 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 8 | (size_t)bytes[4];
}

/* Checks a stream: so many messages, and how it ends. @return the bytes of its messages. */
static size_t assert_stream(size_t messages, const char *end)
{
    size_t total = join_chunks(), at = 0, bytes = 0, seen = 0;

    while (got[at] == 0) {
        bytes += length_at(at);
        at += 5 + length_at(at);
        seen++;
    }
    assert_int_equal(seen, messages);
    assert_int_equal(got[at], 2);
    assert_int_equal(at + 5 + length_at(at), total);
    assert_string_equal(got + at + 5, end);
    return bytes;
}

static void a_message_comes_back_as_it_is(void **state)
{
    call("Echo", "hello", 5);
    assert_status("200");
    assert_non_null(strstr(got, "Content-Type: " PROTO "\r\n"));
    assert_non_null(strstr(got, "Content-Length: 5\r\n"));
    assert_string_equal(body_of(), "hello");
    call("Echo", "", 0);
    assert_string_equal(body_of(), "");
    call_with("Three", STREAM, "", "\0\0\0\0\0", 5);
    assert_int_equal(assert_stream(3, "{}"), 2);
}

static void without_a_converter_there_is_no_json_and_no_get(void **state)
{
    int fd = open_peer();
    static const char get[] =
        "GET /t.T/Echo?encoding=proto&message= HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

    call_with("Echo", "application/json", "", "{}", 2);
    assert_error("501",
                 "{\"code\":\"unimplemented\",\"message\":\"this server cannot read JSON; send protobuf\"}");
    assert_int_equal(send(fd, get, sizeof(get) - 1, 0), sizeof(get) - 1);
    read_all(fd);
    assert_status("405");
}

static void errors_are_cut_cleaned_and_detailed(void **state)
{
    call("Fail", "", 0);
    assert_error("404", "{\"code\":\"not_found\",\"message\":\"no \\ufffd such\","
                        "\"details\":[{\"type\":\"\",\"value\":\"\"}]}");
    call("FailEarly", "", 0);
    assert_error("501", "{\"code\":\"unimplemented\"}");
    call("Wordy", "", 0);
    assert_status("409");
    assert_int_equal(strspn(strchr(body_of(), '%'), "%"), 4096);
    /* No Status: there is nothing to tell of it. */
    call("Wordy", "x", 1);
    assert_error("409", "{\"code\":\"aborted\"}");
    call("FailLong", "", 0);
    assert_status("404");
    call("Say", "\x63no such code", 13);
    assert_error("500", "{\"code\":\"unknown\",\"message\":\"no such code\"}");
}

static void a_message_over_the_limit_is_refused_with_the_reason(void **state)
{
    call("Large", "", 0);
    assert_error("429", "{\"code\":\"resource_exhausted\",\"message\":\"message of 614400 bytes exceeds "
                        "max_send_message_bytes (102400)\"}");
    call_with("Insist", STREAM, "", "\0\0\0\0\0", 5);
    assert_stream(0, "{\"error\":{\"code\":\"aborted\",\"message\":\"message of 614400 bytes exceeds "
                     "max_send_message_bytes (102400)\"}}");
    call_with("Sum", STREAM, "", "\0\0\0\3\xe9", 5);
    assert_stream(
        0, "{\"error\":{\"code\":\"resource_exhausted\",\"message\":\"received message larger than max "
           "(1001 vs. 1000)\"}}");
}

static void a_large_reply_leaves_whole(void **state)
{
    call("Large", "", 0);
    assert_status("200");
    assert_int_equal(got + got_length - body_of(), WIRE_LARGE);
    call_with("LargeStream", STREAM, "", "\0\0\0\0\0", 5);
    assert_int_equal(assert_stream(1, "{}"), WIRE_LARGE);
}

static void what_does_not_fit_waits_and_the_end_comes_behind_it(void **state)
{
    int fd = open_peer();
    char end[128];
    size_t bytes;

    /* Nothing is read until the handler has been told to stop. */
    send_request(fd, "Fill", STREAM, "", "\0\0\0\0\0", 5);
    await(&logged, 1);
    assert_non_null(strstr(last_line, "reply refused: message of 65536 bytes exceeds max_queued_bytes"));
    read_all(fd);
    snprintf(end, sizeof(end), "{\"error\":{\"code\":\"resource_exhausted\",\"message\":\"%d\"}}", 15);
    bytes = assert_stream(15, end);
    assert_int_equal(bytes, 15 * 64 * 1024);
}

static void a_stream_goes_on_as_the_client_reads(void **state)
{
    int fd = open_peer();

    send_request(fd, "Many", STREAM, "", "\0\0\0\0\0", 5);
    usleep(100 * 1000);
    read_all(fd);
    assert_int_equal(assert_stream(1000, "{}"), 1000 * 16 * 1024);
}

static void a_handler_may_end_ahead_of_the_request(void **state)
{
    static const char two[] = "\0\0\0\0\3one\0\0\0\0\3two";

    call_with("Early", STREAM, "", two, sizeof(two) - 1);
    assert_int_equal(assert_stream(1, "{}"), 5);
    call_with("LastSum", STREAM, "", two, sizeof(two) - 1);
    assert_int_equal(assert_stream(1, "{\"error\":{\"code\":\"aborted\",\"message\":\"no more\"}}"), 10);
}

static void a_paused_call_gets_its_messages_later(void **state)
{
    static const char three[] = "\0\0\0\0\3one\0\0\0\0\0\0\0\0\0\5three";

    call("Rest", "later", 5);
    assert_status("200");
    assert_string_equal(body_of(), "later");
    call("Rest", "", 0);
    assert_status("200");
    call_with("Sip", STREAM, "", three, sizeof(three) - 1);
    assert_int_equal(assert_stream(1, "{}"), 1);
    /* What is wrong is found when it is its turn. */
    call_with("Sip", STREAM, "", three, sizeof(three) - 2);
    assert_stream(0, "{\"error\":{\"code\":\"invalid_argument\",\"message\":\"the request ends inside an "
                     "envelope\"}}");
    call_with("Sip", STREAM, "", "", 0);
    assert_int_equal(assert_stream(1, "{}"), 1);
}

static void metadata_goes_back_by_two_names(void **state)
{
    call_with("Return", PROTO, "X-One: 1\r\nx-one: 2\r\nX-Two-Bin: AP8\r\n", "m", 1);
    assert_status("200");
    assert_non_null(strstr(got, "x-one: 1\r\nx-one: 2\r\nx-two-bin: AP8\r\n"));
    assert_non_null(strstr(got, "trailer-trailer-x-one: 1\r\n"));
    assert_non_null(strstr(got, "trailer-trailer-x-two-bin: AP8\r\n"));
}

static void too_much_metadata_and_reserved_names_are_refused(void **state)
{
    char fields[4096] = "";
    size_t used = 0;

    for (int i = 0; i < 40; i++)
        used += (size_t)snprintf(fields + used, sizeof(fields) - used, "X-%d: y\r\n", i);
    /* Each is a header and a trailer, and 64 are allowed. */
    call_with("Return", PROTO, fields, "m", 1);
    assert_error("500", "{\"code\":\"data_loss\",\"message\":\"x-32\"}");
    call_with("Return", PROTO, "Date: today\r\n", "m", 1);
    assert_error("500", "{\"code\":\"data_loss\",\"message\":\"date\"}");
    call_with("Return", PROTO, "Trailer-X: 1\r\n", "m", 1);
    assert_error("500", "{\"code\":\"data_loss\",\"message\":\"trailer-x\"}");
    call_with("Return", PROTO, "Access-Control-Allow-Origin: x\r\n", "m", 1);
    assert_error("500", "{\"code\":\"data_loss\",\"message\":\"access-control-allow-origin\"}");
}

static void a_deadline_and_a_client_that_goes_end_the_call(void **state)
{
    int fd;

    call_with("Never", PROTO, "Connect-Timeout-Ms: 20\r\n", "", 0);
    assert_error("504", "{\"code\":\"deadline_exceeded\",\"message\":\"deadline exceeded\"}");
    await(&ended, 1);
    assert_int_equal(overdue, 1);
    fd = open_peer();
    send_request(fd, "Never", PROTO, "", "", 0);
    await(&started, 2);
    close(fd);
    await(&ended, 2);
    assert_int_equal(cancelled, 1);
}

static void a_server_that_closes_tells_the_calls_in_flight(void **state)
{
    int fd = open_peer();

    send_request(fd, "Never", PROTO, "", "", 0);
    await(&started, 1);
    wire_end(false);
    read_all(fd);
    assert_error("503", "{\"code\":\"unavailable\",\"message\":\"the server is shutting down\"}");
    free(got);
    got = NULL;
    assert_int_equal(wire_join(), 0);
    assert_int_equal(ended, 1);
}

static void a_call_in_flight_ends_well_while_the_server_drains(void **state)
{
    int fd = open_peer();

    send_request(fd, "Drain", PROTO, "", "", 0);
    await(&started, 1);
    may_drain = 1;
    read_all(fd);
    assert_status("200");
    assert_non_null(strstr(got, "Connection: close\r\n"));
    free(got);
    got = NULL;
    assert_int_equal(wire_join(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
#define TEST_SMALL(name) cmocka_unit_test_setup_teardown(name, start_small, stop)
#define TEST_LAST(name) cmocka_unit_test_setup(name, start)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_comes_back_as_it_is),
        TEST(without_a_converter_there_is_no_json_and_no_get),
        TEST(errors_are_cut_cleaned_and_detailed),
        TEST_SMALL(a_message_over_the_limit_is_refused_with_the_reason),
        TEST(a_large_reply_leaves_whole),
        TEST_SMALL(what_does_not_fit_waits_and_the_end_comes_behind_it),
        TEST(a_stream_goes_on_as_the_client_reads),
        TEST(a_handler_may_end_ahead_of_the_request),
        TEST(a_paused_call_gets_its_messages_later),
        TEST(metadata_goes_back_by_two_names),
        TEST(too_much_metadata_and_reserved_names_are_refused),
        TEST(a_deadline_and_a_client_that_goes_end_the_call),
        TEST_LAST(a_server_that_closes_tells_the_calls_in_flight),
        TEST_LAST(a_call_in_flight_ends_well_while_the_server_drains),
    };

    return cmocka_run_group_tests_name("rpc connect", tests, NULL, NULL);
}
