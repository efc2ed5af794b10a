/* SPDX-License-Identifier: Apache-2.0 */
/* The version service tells what the host says of itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <berth/testing.h>
#include <containerd/services/version/v1/version.pb-c.h>

static void it_tells_the_version_of_the_host(void **state)
{
    struct berth_error err;
    struct berth_testing *testing = berth_testing_create(&berth_module, NULL, NULL, &err);
    Containerd__Services__Version__V1__VersionResponse *reply;
    struct berth_testing_call *call;
    const void *bytes;
    size_t length;

    assert_non_null(testing);
    assert_int_equal(berth_testing_start(testing, &err), BERTH_OK);
    call = berth_testing_unary(testing, "/containerd.services.version.v1.Version/Version", "", 0);
    assert_int_equal(berth_testing_call_code(call), BERTH_OK);
    bytes = berth_testing_call_reply(call, 0, &length);
    reply = containerd__services__version__v1__version_response__unpack(NULL, length, bytes);
    assert_non_null(reply);
    assert_string_equal(reply->version, "0.0.0-testing");
    assert_string_equal(reply->revision, "");
    containerd__services__version__v1__version_response__free_unpacked(reply, NULL);
    berth_testing_call_destroy(call);
    assert_int_equal(berth_testing_destroy(testing, &err), BERTH_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_tells_the_version_of_the_host),
    };

    return cmocka_run_group_tests_name("version", tests, NULL, NULL);
}
