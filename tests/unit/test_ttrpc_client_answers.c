/* SPDX-License-Identifier: Apache-2.0 */
/* A ttrpc client against servers that follow a script of bare frames, or are not there. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <sdk/rpc/ttrpc/message.h>

#include "ttrpc_pair.h"
#include "ttrpc_peer.h"

static void a_server_that_is_not_there_is_unavailable(void **state)
{
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(1);
    assert_int_equal(f.code, BERTH_UNAVAILABLE);
    assert_non_null(strstr(f.message, f.path));
}

static void run_script(void *context)
{
    int fd = accept(f.listener, NULL, NULL);

    if (fd >= 0)
        f.script(fd);
    close(fd);
}

/* A server that does as it is told once the Request has come. */
static void serve(void (*script)(int fd))
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    f.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    f.script = script;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", f.path);
    assert_int_equal(bind(f.listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(f.listener, 4), 0);
    uv_thread_create(&f.thread, run_script, NULL);
}

static void await_request(int fd, uint32_t *ret_id, uint8_t *ret_flags)
{
    struct ttrpc_answer *request = malloc(sizeof(*request));

    *ret_id = 0;
    if (request != NULL && ttrpc_peer_read(fd, request, 5000)) {
        *ret_id = request->id;
        *ret_flags = request->flags;
    }
    free(request);
}

/* Reads until the client has gone. */
static void wait_for_the_end(int fd)
{
    char byte;

    while (recv(fd, &byte, 1, 0) > 0)
        ;
}

static void answer_with_everything_odd(int fd)
{
    uint32_t id;
    uint8_t flags;

    await_request(fd, &id, &flags);
    ttrpc_peer_frame(fd, 2, TTRPC_RESPONSE, 0, "", 0);
    ttrpc_peer_frame(fd, 77, TTRPC_RESPONSE, 0, "\xff", 1);
    ttrpc_peer_frame(fd, 77, TTRPC_DATA, 0, "junk", 4);
    ttrpc_peer_frame(fd, id, TTRPC_REQUEST, 0, "junk", 4);
    ttrpc_peer_frame(fd, id, 200, 0xff, "junk", 4);
    ttrpc_peer_frame(fd, id, TTRPC_RESPONSE, 0, "\x12\x02ok", 4);
    ttrpc_peer_frame(fd, id, TTRPC_RESPONSE, 0, "\x12\x04late", 6);
    wait_for_the_end(fd);
}

static void frames_that_nobody_waits_for_are_ignored(void **state)
{
    serve(answer_with_everything_odd);
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(1);
    assert_ended(BERTH_OK, "");
    run_for(20);
    assert_string_equal(f.text, "ok|");
}

static void answer_with_junk(int fd)
{
    uint32_t id;
    uint8_t flags;

    await_request(fd, &id, &flags);
    ttrpc_peer_frame(fd, id, TTRPC_RESPONSE, 0, "\x0a\x7f", 2);
    await_request(fd, &id, &flags);
    ttrpc_peer_frame(fd, id, TTRPC_DATA, 0, "data", 4);
    await_request(fd, &id, &flags);
    ttrpc_peer_frame(fd, id, TTRPC_RESPONSE, 0, "\x0a\x03\x08\xe7\x07", 5);
    wait_for_the_end(fd);
}

static void an_answer_that_cannot_be_is_internal(void **state)
{
    serve(answer_with_junk);
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(1);
    assert_ended(BERTH_INTERNAL, "the server sent an invalid Response: unexpected EOF");
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(2);
    assert_ended(BERTH_INTERNAL, "the server sent stream data to a call with a single response");
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(3);
    assert_ended(BERTH_UNKNOWN, "");
}

static void answer_too_much(int fd)
{
    static char block[TTRPC_DATA_MAX + 5];
    uint32_t id;
    uint8_t flags;

    await_request(fd, &id, &flags);
    ttrpc_peer_frame(fd, id, TTRPC_RESPONSE, 0, block, sizeof(block));
    await_request(fd, &id, &flags);
    ttrpc_peer_frame(fd, id, TTRPC_RESPONSE, 0, "", 0);
    wait_for_the_end(fd);
}

static void an_oversize_answer_ends_its_call_only(void **state)
{
    serve(answer_too_much);
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(1);
    assert_ended(BERTH_RESOURCE_EXHAUSTED, "the server sent a message above the 4 MiB of ttrpc");
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(2);
    assert_ended(BERTH_OK, "");
    assert_int_equal(f.messages, 1);
}

static void go_away(int fd)
{
    uint32_t id;
    uint8_t flags;

    await_request(fd, &id, &flags);
}

static void a_server_that_goes_ends_its_calls(void **state)
{
    serve(go_away);
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(1);
    assert_int_equal(f.code, BERTH_UNAVAILABLE);
    assert_non_null(strstr(f.message, f.path));
}

static void answer_pong(int fd)
{
    uint32_t id;
    uint8_t flags;

    await_request(fd, &id, &flags);
    ttrpc_peer_frame(fd, id, TTRPC_RESPONSE, 0, "\x12\x04pong", 6);
    wait_for_the_end(fd);
}

static void a_blocking_call_needs_no_loop(void **state)
{
    const struct berth_rpc_unary_options options = {.size = sizeof(options),
                                                    .address = f.path,
                                                    .path = "/t.T/Echo",
                                                    .timeout_ms = 10000,
                                                    .request = "ping",
                                                    .request_length = 4,
                                                    .protocol = BERTH_RPC_TTRPC};
    struct berth_error err;
    void *response = NULL;
    size_t length = 0;

    serve(answer_pong);
    if (berth_rpc_unary_blocking(&options, &response, &length, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    assert_int_equal(length, 4);
    assert_string_equal(response, "pong");
    free(response);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, ttrpc_pair_start_client, ttrpc_pair_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_server_that_is_not_there_is_unavailable), CASE(frames_that_nobody_waits_for_are_ignored),
        CASE(an_answer_that_cannot_be_is_internal),      CASE(an_oversize_answer_ends_its_call_only),
        CASE(a_server_that_goes_ends_its_calls),         CASE(a_blocking_call_needs_no_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
