/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC over TCP as a plugin: what its configuration allows, and where it says that it listens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <berth/testing.h>

static void it_says_on_which_port_it_listens(void **state)
{
    struct berth_error err;
    struct berth_testing *testing = berth_testing_create(&berth_module, NULL, "address: 127.0.0.1:0\n", &err);
    const char *address;

    assert_non_null(testing);
    assert_int_equal(berth_testing_start(testing, &err), BERTH_OK);
    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    address = berth_testing_export(testing, "address");
    assert_non_null(address);
    assert_memory_equal(address, "127.0.0.1:", 10);
    assert_true(atoi(address + 10) > 0);
    assert_int_equal(berth_testing_destroy(testing, &err), BERTH_OK);
}

static void assert_start(const char *settings, enum berth_code code, const char *text)
{
    struct berth_error err = {0};
    struct berth_testing *testing = berth_testing_create(&berth_module, NULL, settings, &err);

    assert_non_null(testing);
    assert_int_equal(berth_testing_start(testing, &err), code);
    if (text != NULL && strstr(err.message, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, err.message);
    berth_testing_destroy(testing, &err);
}

static void without_an_address_it_does_not_apply(void **state)
{
    assert_start("", BERTH_SKIP, "try address: 127.0.0.1:50051");
}

static void other_machines_are_not_served_in_clear_unless_told(void **state)
{
    assert_start("address: 0.0.0.0:0\n", BERTH_INVALID_ARGUMENT, "insecure: true");
    assert_start("address: '[::]:0'\n", BERTH_INVALID_ARGUMENT, "insecure: true");
    assert_start("address: 0.0.0.0:0\ninsecure: true\n", BERTH_OK, NULL);
    assert_start("address: '[::1]:0'\n", BERTH_OK, NULL);
}

static void certificate_key_and_authorities_come_together(void **state)
{
    assert_start("address: 127.0.0.1:0\ntls_cert: /a.pem\n", BERTH_INVALID_ARGUMENT, "set tls_key too");
    assert_start("address: 127.0.0.1:0\ntls_key: /a.key\n", BERTH_INVALID_ARGUMENT, "set tls_cert too");
    assert_start("address: 127.0.0.1:0\ntls_ca: /ca.pem\n", BERTH_INVALID_ARGUMENT, "tls_ca is for clients");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_on_which_port_it_listens),
        cmocka_unit_test(without_an_address_it_does_not_apply),
        cmocka_unit_test(other_machines_are_not_served_in_clear_unless_told),
        cmocka_unit_test(certificate_key_and_authorities_come_together),
    };

    return cmocka_run_group_tests_name("server-grpc-tcp", tests, NULL, NULL);
}
