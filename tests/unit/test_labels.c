/* SPDX-License-Identifier: Apache-2.0 */
/* Which labels containerd takes, and what it says of the others. */
#include <berth/labels.h>

#include <tests/cmocka.h>

static void a_label_is_refused_for_its_size_or_for_want_of_a_key(void **state)
{
    static const struct {
        const char *key;
        size_t value_length;
        const char *sentence;
    } cases[] = {
        {"k", 4095, NULL},
        {"k", 4096, "label key and value greater than maximum size (4096 bytes), key: k: invalid argument"},
        {"k", SIZE_MAX,
         "label key and value greater than maximum size (4096 bytes), key: k: invalid argument"},
        {"containerd.io/gc", 4096,
         "label key and value greater than maximum size (4096 bytes), key: containerd: invalid argument"},
        {"containerh\xc3\xa9", 4096,
         "label key and value greater than maximum size (4096 bytes), key: containerh: invalid argument"},
        {"container\xc3\xa9", 4096,
         "label key and value greater than maximum size (4096 bytes), key: container: invalid argument"},
        {"", 1, "key required: invalid argument"},
        {"", 0, NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_error err = {""};
        enum berth_code code =
            berth_label_check(cases[i].key, strlen(cases[i].key), cases[i].value_length, &err);

        assert_int_equal(code, cases[i].sentence == NULL ? BERTH_OK : BERTH_INVALID_ARGUMENT);
        assert_string_equal(err.message, cases[i].sentence == NULL ? "" : cases[i].sentence);
    }
}

static void labels_are_refused_by_the_first_that_is_and_settled_without_empty_ones(void **state)
{
    struct berth_wire_map labels = {0};
    struct berth_error err = {""};

    berth_wire_map_set(&labels, "b", 1, "2", 1);
    berth_wire_map_set(&labels, "a", 1, "", 0);
    assert_int_equal(berth_labels_check(&labels, "ships.Labels", &err), BERTH_OK);
    berth_labels_settle(&labels);
    assert_int_equal(labels.count, 1);
    assert_memory_equal(labels.entries[0].key, "b", 1);
    berth_wire_map_set(&labels, "", 0, "3", 1);
    assert_int_equal(berth_labels_check(&labels, "ships.Labels", &err), BERTH_INVALID_ARGUMENT);
    assert_string_equal(err.message, "ships.Labels: key required: invalid argument");
    berth_wire_map_finish(&labels);
}

static void a_path_names_a_label_with_all_its_dots(void **state)
{
    assert_string_equal(berth_label_of_path("labels.a.b/c"), "a.b/c");
    assert_string_equal(berth_label_of_path("labels."), "");
    assert_null(berth_label_of_path("labels"));
    assert_null(berth_label_of_path("image"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_label_is_refused_for_its_size_or_for_want_of_a_key),
        cmocka_unit_test(labels_are_refused_by_the_first_that_is_and_settled_without_empty_ones),
        cmocka_unit_test(a_path_names_a_label_with_all_its_dots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
