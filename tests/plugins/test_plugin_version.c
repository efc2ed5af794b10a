/* SPDX-License-Identifier: Apache-2.0 */
/* The version service tells what the host says of itself. */
#include "plugin_stage.h"

#include <containerd/services/version/v1/version.pb-c.h>

static void it_tells_the_version_of_the_host(void **state)
{
    struct berth_testing *testing = plugin_run(NULL, NULL);
    Containerd__Services__Version__V1__VersionResponse *reply;
    struct berth_testing_call *call;
    const void *bytes;
    size_t length;

    call = berth_testing_unary(testing, "/containerd.services.version.v1.Version/Version", "", 0);
    assert_int_equal(berth_testing_call_code(call), BERTH_OK);
    bytes = berth_testing_call_reply(call, 0, &length);
    reply = containerd__services__version__v1__version_response__unpack(NULL, length, bytes);
    assert_non_null(reply);
    assert_string_equal(reply->version, "0.0.0-testing");
    assert_string_equal(reply->revision, "");
    containerd__services__version__v1__version_response__free_unpacked(reply, NULL);
    berth_testing_call_destroy(call);
    plugin_destroy(testing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_tells_the_version_of_the_host),
    };

    return cmocka_run_group_tests_name("version", tests, NULL, NULL);
}
