/* SPDX-License-Identifier: Apache-2.0 */
/* A ttrpc client against servers that follow a script of bare frames, or are not there. */
#include "rpc_pair.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <sdk/rpc/ttrpc/message.h>

#include "ttrpc_peer.h"

/* The server. */
static int listener = -1;
static uv_thread_t thread;
static void (*script_to_run)(int fd);

static void a_server_that_is_not_there_is_unavailable(void **state)
{
    pair_ask("/t.T/Echo", "x");
    pair_run_until_over(1);
    assert_int_equal(pair.code, BERTH_UNAVAILABLE);
    assert_non_null(strstr(pair.message, pair.path));
}

static void run_script(void *context)
{
    int fd = accept(listener, NULL, NULL);

    if (fd >= 0)
        script_to_run(fd);
    close(fd);
}

/* A server that does as it is told once the Request has come. */
static void serve(void (*script)(int fd))
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    script_to_run = script;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", pair.path);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 4), 0);
    uv_thread_create(&thread, run_script, NULL);
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
    pair_ask("/t.T/Echo", "x");
    pair_assert_ended(1, BERTH_OK, "");
    pair_run_for(20);
    assert_string_equal(pair.text, "ok");
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
    pair_ask("/t.T/Echo", "x");
    pair_assert_ended(1, BERTH_INTERNAL, "the server sent an invalid Response: unexpected EOF");
    pair_ask("/t.T/Echo", "x");
    pair_assert_ended(2, BERTH_INTERNAL, "the server sent stream data to a call with a single response");
    pair_ask("/t.T/Echo", "x");
    pair_assert_ended(3, BERTH_UNKNOWN, "");
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
    pair_ask("/t.T/Echo", "x");
    pair_assert_ended(1, BERTH_RESOURCE_EXHAUSTED, "the server sent a message above the 4 MiB of ttrpc");
    pair_ask("/t.T/Echo", "x");
    pair_assert_ended(2, BERTH_OK, "");
    assert_int_equal(pair.messages, 1);
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
    pair_ask("/t.T/Echo", "x");
    pair_run_until_over(1);
    assert_int_equal(pair.code, BERTH_UNAVAILABLE);
    assert_non_null(strstr(pair.message, pair.path));
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
                                                    .address = pair.path,
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

static int stop(void **state)
{
    int result = pair_stop(state);

    if (listener >= 0) {
        uv_thread_join(&thread);
        close(listener);
        listener = -1;
    }
    return result;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, pair_start_ttrpc_client, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_server_that_is_not_there_is_unavailable), CASE(frames_that_nobody_waits_for_are_ignored),
        CASE(an_answer_that_cannot_be_is_internal),      CASE(an_oversize_answer_ends_its_call_only),
        CASE(a_server_that_goes_ends_its_calls),         CASE(a_blocking_call_needs_no_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
