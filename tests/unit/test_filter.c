/* SPDX-License-Identifier: Apache-2.0 */
/* Filters: what they match, and in which words they are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include <berth/filter.h>

/* An object: pairs of a path, joined with "/", and a value. */
typedef const char *const object[][2];

static const object lmdb = {
    {"type", "io.berth.store.v1"}, {"id", "lmdb"}, {"labels/io.x/y", "z"}, {"labels/empty", ""}, {NULL, NULL},
};

static bool object_field(void *context, const char *const *path, size_t count, const char **ret_value)
{
    const char *const(*pair)[2] = context;
    char joined[256] = "";

    for (size_t i = 0; i < count; i++) {
        strcat(joined, i > 0 ? "/" : "");
        strcat(joined, path[i]);
    }
    for (; (*pair)[0] != NULL; pair++)
        if (strcmp((*pair)[0], joined) == 0) {
            *ret_value = (*pair)[1];
            return true;
        }
    return false;
}

static bool matches(const char *const *texts, size_t count)
{
    struct berth_filter *filter;
    struct berth_error err = {""};
    bool result;

    if (berth_filter_create(texts, count, &filter, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    result = berth_filter_matches(filter, object_field, (void *)(uintptr_t)lmdb);
    berth_filter_destroy(filter);
    return result;
}

static void a_filter_matches_what_it_says(void **state)
{
    static const struct {
        const char *text;
        bool matches;
    } cases[] = {
        {"", true},
        {"id", true},
        {"nope", false},
        {"labels.empty", true},
        {"id==lmdb", true},
        {"id==lmd", false},
        {"id==\"lmdb\"", true},
        {"id == lmdb", true},
        {"  id==lmdb", true},
        {"id==\"\\x6c\\155\\u0064b\"", true},
        {"id!=lmdb", false},
        {"id!=etcd", true},
        {"nope!=etcd", true},
        {"nope!=\"\"", false},
        {"nope==\"\"", false},
        {"labels.empty==\"\"", true},
        {"id~=^lm", true},
        {"id~=md", true},
        {"id~=^md", false},
        {"id~=/^lm.b$/", true},
        {"id~=|^lm.b$|", true},
        {"id~=\"^lm\\\\w+$\"", true},
        {"nope~=\"^$\"", true},
        {"nope~=\".\"", false},
        {"id~=\"(\"", false},
        {"id~=\"(l)\\\\1\"", false},
        {"labels.\"io.x/y\"==z", true},
        {"\"labels\".\"io.x/y\"", true},
        {"type==io.berth.store.v1", true},
        {"type==io.berth.store.v1,id==lmdb", true},
        {"type==io.berth.store.v1,id==etcd", false},
        {"type==io.berth.store.v1, id==lmdb", true},
        {"id==lm=db", false},
        {"id==é", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (matches(&cases[i].text, 1) != cases[i].matches)
            fail_msg("%s", cases[i].text);
}

static void of_several_filters_one_is_enough(void **state)
{
    const char *const texts[] = {"id==etcd", "id==lmdb"};

    assert_true(matches(texts, 2));
    assert_false(matches(texts, 1));
    assert_true(matches(NULL, 0));
}

static void a_filter_is_refused_in_containerds_words(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"id==", "[id==]: expected value or quoted"},
        {"id=", "[id >|=|< ]: unsupported operator \"=\""},
        {"id===a", "[id >|=|< ==a]: unsupported operator \"===\""},
        {" ", "[ ]: expected field or quoted"},
        {"==a", "[ >|=|< =a]: expected field or quoted"},
        {"id==a,", "[id==a,]: expected field or quoted"},
        {"id==a b", "[id==a >| |< b]: unexpected input:  "},
        {"id b", "[id  >|b|< ]: expected an operator (\"==\"|\"!=\"|\"~=\")"},
        {"id.", "[id.]: expected field or quoted"},
        {"topic==/x", "[topic== >|/|< x]: quoted literal not terminated"},
        {"topic==/x/", "[topic== >|/|< x/]: invalid quote encountered"},
        {"|id|==a", "[ >|||< id|==a]: invalid quote encountered"},
        {"id==\"a", "[id== >|\"|< a]: quoted literal not terminated"},
        {"id==\"\\q\"", "[id== >|\"|< \\q\"]: illegal escape sequence"},
        {"id==\"\\xz\"", "[id== >|\"|< \\xz\"]: illegal numeric escape sequence"},
        {"id==\"\\777\"", "[id== >|\"|< \\777\"]: unquoting failed: quote syntax error"},
        {"id==\"\\U99999999\"", "[id== >|\"|< \\U99999999\"]: unquoting failed: quote syntax error"},
        {"id==\"\\000\"", "[id== >|\"|< \\000\"]: unquoting failed: quote syntax error"},
        {"id==.a", "[id== >|.|< a]: expected value or quoted"},
        {"an-id", "[an >|-|< id]: expected an operator (\"==\"|\"!=\"|\"~=\")"},
        {"id?", "[id >|?|< ]: expected an operator (\"==\"|\"!=\"|\"~=\")"},
        {"id\xff", "[id >|\xff|< ]: rune error"},
        {"a==\"b\"é", "[a==\"b\" >|\xc3|< \xa9]: unexpected input: é"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_filter *filter;
        struct berth_error err;
        char expected[256];

        snprintf(expected, sizeof(expected), "filters: parse error: %s: invalid argument", cases[i].message);
        assert_int_equal(berth_filter_create(&cases[i].text, 1, &filter, &err), BERTH_INVALID_ARGUMENT);
        assert_string_equal(err.message, expected);
    }
}

static void assert_refused(const char *const *texts, size_t count, const char *reason)
{
    struct berth_filter *filter;
    struct berth_error err;

    assert_int_equal(berth_filter_create(texts, count, &filter, &err), BERTH_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, reason));
}

static void what_one_request_asks_is_bounded(void **state)
{
    static char large[70000], selectors[4096], patterns[33 * 5 + 1];
    const char *text = large;

    memset(large, 'x', sizeof(large) - 1);
    assert_refused(&text, 1, "more than 65536 bytes");
    for (size_t i = 0; i < 1025; i++)
        memcpy(selectors + 2 * i, "a,", 3);
    selectors[2 * 1025 - 1] = '\0';
    text = selectors;
    assert_refused(&text, 1, "more selectors");
    for (size_t i = 0; i < 33; i++)
        memcpy(patterns + 5 * i, "a~=b,", 6);
    patterns[33 * 5 - 1] = '\0';
    text = patterns;
    assert_refused(&text, 1, "more regular expressions");
}

static bool long_field(void *context, const char *const *path, size_t count, const char **ret_value)
{
    *ret_value =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";
    return true;
}

static void a_regular_expression_that_explodes_gives_up(void **state)
{
    const char *const texts[] = {"id~=\"^(a+)+$\"", "id~=\"(x+x+)+y\"",
                                 "id~=\"((a{0,100}){0,100}){0,100}$b\""};
    struct berth_filter *filter;
    struct berth_error err;

    assert_int_equal(berth_filter_create(texts, 3, &filter, &err), BERTH_OK);
    assert_false(berth_filter_matches(filter, long_field, NULL));
    berth_filter_destroy(filter);
}

static void what_gave_up_once_costs_nothing_for_further_objects(void **state)
{
    const char *texts[32];
    struct berth_filter *filter;
    struct berth_error err;
    clock_t begun = clock();

    for (size_t i = 0; i < 32; i++)
        texts[i] = "id~=\"^(a|aa|a+)*$\"";
    assert_int_equal(berth_filter_create(texts, 32, &filter, &err), BERTH_OK);
    for (size_t i = 0; i < 200; i++)
        assert_false(berth_filter_matches(filter, long_field, NULL));
    berth_filter_destroy(filter);
    assert_true((clock() - begun) / CLOCKS_PER_SEC < 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_filter_matches_what_it_says),
        cmocka_unit_test(of_several_filters_one_is_enough),
        cmocka_unit_test(a_filter_is_refused_in_containerds_words),
        cmocka_unit_test(what_one_request_asks_is_bounded),
        cmocka_unit_test(a_regular_expression_that_explodes_gives_up),
        cmocka_unit_test(what_gave_up_once_costs_nothing_for_further_objects),
    };

    return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
