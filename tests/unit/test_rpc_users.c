/* SPDX-License-Identifier: Apache-2.0 */
/* A host learns whose code has servers and channels, and when nothing of them is left. */
#include <sdk/rpc/base/users.h>

#include <dlfcn.h>

#include <tests/cmocka.h>

#include <berth/rpc/client.h>
#include <berth/rpc/server.h>
#include <sdk/calls/router.h>

struct seen {
    size_t count;
    bool is_ours;
};

static bool is_of_this_program(const void *address)
{
    Dl_info here, there;

    return dladdr((const void *)(uintptr_t)is_of_this_program, &here) != 0 && dladdr(address, &there) != 0 &&
           here.dli_fbase == there.dli_fbase;
}

static bool on_user(void *context, const void *creator)
{
    struct seen *seen = context;

    seen->count++;
    seen->is_ours = is_of_this_program(creator);
    return true;
}

static size_t count_users(void)
{
    struct seen seen = {.is_ours = true};

    assert_true(berth_library_each_user(on_user, &seen));
    assert_true(seen.is_ours);
    return seen.count;
}

static bool on_stop(void *context, const void *creator)
{
    return false;
}

static void on_closed(void *context)
{
}

static void users_last_from_create_until_all_is_closed(void **state)
{
    const struct berth_rpc_channel_options options = {.size = sizeof(options),
                                                      .address = "unix:/nonexistent"};
    struct router *router = router_create();
    struct berth_rpc_channel *channel;
    struct berth_rpc_server *server;
    struct berth_error err;
    uv_loop_t loop;

    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(count_users(), 0);
    assert_int_equal(berth_rpc_channel_create(&loop, &options, &channel, &err), BERTH_OK);
    assert_int_equal(berth_rpc_server_create(&loop, NULL, router_interface(router), &server, &err), BERTH_OK);
    assert_int_equal(count_users(), 2);
    assert_false(berth_library_each_user(on_stop, NULL));
    berth_rpc_channel_close(channel, on_closed, NULL);
    assert_int_equal(count_users(), 2);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(count_users(), 1);
    berth_rpc_server_close(server, on_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(count_users(), 0);
    router_destroy(router);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(users_last_from_create_until_all_is_closed)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
