/* SPDX-License-Identifier: Apache-2.0 */
/* One server drains and another takes its path over, while callers go on as if nothing happened. */
#include <string.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <berth/rpc/server.h>
#include <berth/rpc/services.h>

#include <sdk/base/unix_socket.h>

#include "rpc_caller.h"
#include "rpc_service.h"

#define CALLERS 16
#define TAKEOVERS 8
#define CALLS_BETWEEN 500

static struct caller c;
static struct outcome callers[CALLERS];
static struct berth_rpc_services *services;
static struct berth_rpc_server *servers[TAKEOVERS + 1];
static unsigned closed;
static unsigned answered;
static unsigned failed;
static bool is_enough;

static void listen_at_the_path(unsigned number)
{
    const struct berth_rpc_unix_options where = {.size = sizeof(where), .path = c.path};
    struct berth_error err;

    if (berth_rpc_server_create(&c.loop, NULL, berth_rpc_services_router(services), &servers[number], &err) !=
            BERTH_OK ||
        berth_rpc_server_listen_unix(servers[number], &where, &err) != BERTH_OK)
        fail_msg("%s", err.message);
}

static void on_closed(void *context)
{
    closed++;
}

static void on_drained(void *server)
{
    berth_rpc_server_close(server, on_closed, NULL);
}

static void ask(struct outcome *outcome);

static void ask_again(struct outcome *outcome)
{
    if (outcome->code == BERTH_OK)
        answered++;
    else
        failed++;
    if (outcome->code != BERTH_OK)
        print_message("%s\n", outcome->message);
    if (!is_enough)
        ask(outcome);
}

static void ask(struct outcome *outcome)
{
    outcome->on_end = ask_again;
    caller_ask(&c, outcome, NULL, "hello");
}

static int start(void **state)
{
    const struct berth_rpc_service_entry entry = {.service = &rpc_service};

    memset(callers, 0, sizeof(callers));
    closed = answered = failed = 0;
    is_enough = false;
    caller_start(&c, "takeover");
    return berth_rpc_services_create(&entry, 1, &services, NULL) == BERTH_OK ? 0 : -1;
}

static int stop(void **state)
{
    char lock[80];

    caller_stop(&c);
    berth_rpc_services_destroy(services);
    snprintf(lock, sizeof(lock), "%s.lock", c.path);
    unlink(lock);
    return 0;
}

static void run_until_answered(unsigned count)
{
    while (answered + failed < count)
        uv_run(&c.loop, UV_RUN_ONCE);
}

/* @param pause_ms  For how long nobody listens. */
static void take_over_under_load(uint64_t pause_ms)
{
    listen_at_the_path(0);
    for (unsigned i = 0; i < CALLERS; i++)
        ask(&callers[i]);
    for (unsigned i = 1; i <= TAKEOVERS; i++) {
        run_until_answered(i * CALLS_BETWEEN);
        berth_rpc_server_drain(servers[i - 1], on_drained, servers[i - 1]);
        if (pause_ms > 0)
            caller_run_for(&c, pause_ms);
        listen_at_the_path(i);
    }
    run_until_answered((TAKEOVERS + 1) * CALLS_BETWEEN);
    is_enough = true;
    caller_run_for(&c, 50);
    berth_rpc_server_close(servers[TAKEOVERS], on_closed, NULL);
    while (closed <= TAKEOVERS)
        uv_run(&c.loop, UV_RUN_ONCE);
    assert_int_equal(failed, 0);
}

static void no_call_fails_when_another_server_takes_over_at_once(void **state)
{
    caller_open(&c, NULL);
    take_over_under_load(0);
}

static void no_call_fails_when_nobody_listens_for_a_while_and_there_are_tries_left(void **state)
{
    const struct berth_rpc_channel_options options = {.connect_attempts = 20, .connect_backoff_ms = 5};

    caller_open(&c, &options);
    take_over_under_load(20);
}

/* As in a host that keeps the socket: servers get duplicates, the next one before or after the end of the
 * last. */
static void hand_over_under_load(bool is_beside, uint64_t pause_ms)
{
    const struct berth_rpc_socket_options options = {.size = sizeof(options)};
    const struct unix_socket_options where = {.path = c.path};
    struct unix_socket kept;
    struct berth_error err;
    int fd;

    assert_int_equal(unix_socket_claim(&kept, &where, &fd, &err), BERTH_OK);
    for (unsigned i = 0; i <= TAKEOVERS; i++) {
        if (i > 0 && !is_beside)
            berth_rpc_server_retire(servers[i - 1], on_drained, servers[i - 1]);
        if (pause_ms > 0)
            caller_run_for(&c, pause_ms);
        if (berth_rpc_server_create(&c.loop, NULL, berth_rpc_services_router(services), &servers[i], &err) !=
                BERTH_OK ||
            berth_rpc_server_listen_socket(servers[i], dup(fd), &options, NULL, &err) != BERTH_OK)
            fail_msg("%s", err.message);
        if (i > 0 && is_beside)
            berth_rpc_server_retire(servers[i - 1], on_drained, servers[i - 1]);
        for (unsigned k = 0; i == 0 && k < CALLERS; k++)
            ask(&callers[k]);
        run_until_answered((i + 1) * CALLS_BETWEEN);
    }
    is_enough = true;
    caller_run_for(&c, 50);
    berth_rpc_server_close(servers[TAKEOVERS], on_closed, NULL);
    while (closed <= TAKEOVERS)
        uv_run(&c.loop, UV_RUN_ONCE);
    close(fd);
    unix_socket_release(&kept);
    assert_int_equal(failed, 0);
}

static void no_call_fails_when_servers_live_beside_each_other_on_one_socket(void **state)
{
    caller_open(&c, NULL);
    hand_over_under_load(true, 0);
}

static void no_call_fails_while_connections_wait_in_the_queue_of_a_kept_socket(void **state)
{
    caller_open(&c, NULL);
    hand_over_under_load(false, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_call_fails_when_another_server_takes_over_at_once, start, stop),
        cmocka_unit_test_setup_teardown(
            no_call_fails_when_nobody_listens_for_a_while_and_there_are_tries_left, start, stop),
        cmocka_unit_test_setup_teardown(no_call_fails_when_servers_live_beside_each_other_on_one_socket,
                                        start, stop),
        cmocka_unit_test_setup_teardown(no_call_fails_while_connections_wait_in_the_queue_of_a_kept_socket,
                                        start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
