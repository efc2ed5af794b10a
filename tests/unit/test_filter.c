/* SPDX-License-Identifier: Apache-2.0 */
/* Filters: what they match, and in which words they are refused. */
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <tests/cmocka.h>

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
    assert_int_equal(berth_filter_match(filter, object_field, (void *)(uintptr_t)lmdb, &result, &err),
                     BERTH_OK);
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
        {"id~=(", "[id~= >|(|< ]: regular expression: missing ): ("},
        {"id~=\"a(?=b)\",id", "[id~= >|\"|< a(?=b)\",id]: regular expression: invalid perl operator: (?="},
        {"id~=|(l)\\\\1|", "[id~= >|||< (l)\\\\1|]: regular expression: invalid escape sequence: \\1"},
        {"id~=\"\\\\C\"", "[id~= >|\"|< \\\\C\"]: regular expression: invalid escape sequence: \\C"},
        {"id~=x{1001}", "[id~= >|x|< {1001}]: regular expression: invalid repetition size: {1001}"},
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

/* A field whose text is the context. */
static bool text_field(void *context, const char *const *path, size_t count, const char **ret_value)
{
    *ret_value = context;
    return true;
}

/* `text` in the quotes of a filter, behind "id~=". */
static void quote_pattern(const char *text, char *ret_filter)
{
    ret_filter += sprintf(ret_filter, "id~=\"");
    for (; *text != '\0'; text++) {
        if (*text == '\\' || *text == '"')
            *ret_filter++ = '\\';
        *ret_filter++ = *text;
    }
    strcpy(ret_filter, "\"");
}

static struct berth_filter *create(const char *pattern)
{
    static char text[BERTH_FILTER_MAX_BYTES];
    const char *const texts[] = {text};
    struct berth_filter *filter;
    struct berth_error err;

    quote_pattern(pattern, text);
    if (berth_filter_create(texts, 1, &filter, &err) != BERTH_OK)
        fail_msg("%s: %s", pattern, err.message);
    return filter;
}

static bool finds(struct berth_filter *filter, const char *text)
{
    struct berth_error err;
    bool found;

    if (berth_filter_match(filter, text_field, (void *)(uintptr_t)text, &found, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    return found;
}

static bool pattern_finds(const char *pattern, const char *text)
{
    struct berth_filter *filter = create(pattern);
    bool found = finds(filter, text);

    berth_filter_destroy(filter);
    return found;
}

static void a_regular_expression_means_what_it_means_to_go(void **state)
{
    static const struct {
        const char *pattern;
        const char *text;
        bool found;
    } cases[] = {
        {"^*", "anything", true},
        {"a$", "a\n", false},
        {"(?m)a$", "a\nb", true},
        {"a.b", "a\nb", false},
        {"(?s)a.b", "a\nb", true},
        {"\\v", "\v", true},
        {"\\v", "\n", false},
        {"^\\s$", "\v", false},
        {"^\\w$", "é", false},
        {"^.$", "é", true},
        {"^\\pL$", "é", true},
        {"^\\p{Greek}$", "λ", true},
        {"(?i)K", "\u212a", true},
        {"^\\Q(\\C\\E$", "(\\C", true},
        {"\\\\C", "\\C", true},
        {"(?P<name>x)", "x", true},
        {"^[[:word:]]+$", "a_1", true},
        {"(?U)^a+$", "aa", true},
        {"\\x{1F600}", "\U0001F600", true},
        {"x{1000}", "x", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (pattern_finds(cases[i].pattern, cases[i].text) != cases[i].found)
            fail_msg("%s of %s", cases[i].pattern, cases[i].text);
}

static void what_only_other_dialects_know_is_refused(void **state)
{
    static const char *const patterns[] = {
        "a(?=b)",
        "a(?!b)",
        "(?<=a)b",
        "(?<!a)b",
        "(?>a)",
        "a++",
        "a*+",
        "a?+",
        "a{2}+",
        "\\R",
        "\\h",
        "\\H",
        "\\X",
        "\\G",
        "\\Z",
        "\\K",
        "\\N",
        "\\V",
        "\\e",
        "\\cA",
        "\\o{101}",
        "(a)\\1",
        "\\g{1}",
        "(?R)",
        "(?1)",
        "(?|a|b)",
        "(?#a)",
        "(?x)a",
        "(?<n>a)",
        "(?'n'a)",
        "(?(1)a)",
        "(*UTF)a",
        "**",
        "a**",
        "(",
        ")",
        "[a",
        "[b-a]",
        "\\",
        "\\8",
        "\\C",
        "\\E\\C",
        "[\\Qa]",
        "a{2000}",
        "\\pX",
        "\\x{110000}",
        "(a{100}){100}",
    };

    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        char text[64];
        const char *const texts[] = {text};
        struct berth_filter *filter;
        struct berth_error err;

        quote_pattern(patterns[i], text);
        if (berth_filter_create(texts, 1, &filter, &err) != BERTH_INVALID_ARGUMENT)
            fail_msg("%s is taken", patterns[i]);
        assert_non_null(strstr(err.message, "regular expression: "));
    }
}

/* Two long texts that a backtracking engine gives up on, and then one that matches. */
static void one_hard_text_costs_the_others_nothing(void **state)
{
    static char slashes[4096];
    struct berth_filter *filter = create("/.*/.*[0-9]");

    memset(slashes, '/', sizeof(slashes) - 1);
    assert_false(finds(filter, slashes));
    assert_true(finds(filter, "/var/lib/7"));
    slashes[sizeof(slashes) - 2] = '7';
    assert_true(finds(filter, slashes));
    berth_filter_destroy(filter);
}

static void a_field_that_no_object_has_is_refused_with_those_that_there_are(void **state)
{
    static const char *const names[] = {"id", "type", NULL};
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"id==a", NULL},
        {"", NULL},
        {"id,type!=b", NULL},
        {"id==a,nope", "filters: unknown field \"nope\" (fields: id, type)"},
        {"id.more", "filters: unknown field \"id.…\" (fields: id, type)"},
        {"\"\"", "filters: unknown field \"\" (fields: id, type)"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum berth_code expected = cases[i].message == NULL ? BERTH_OK : BERTH_INVALID_ARGUMENT;
        struct berth_filter *filter;
        struct berth_error err = {""};

        assert_int_equal(berth_filter_create(&cases[i].text, 1, &filter, &err), BERTH_OK);
        assert_int_equal(berth_filter_check(filter, names, &err), expected);
        assert_string_equal(err.message, cases[i].message == NULL ? "" : cases[i].message);
        berth_filter_destroy(filter);
    }
}

static void large_patterns_match_or_are_refused(void **state)
{
    static char alternation[9000], nested[2048], huge[BERTH_FILTER_MAX_BYTES - 16],
        text[BERTH_FILTER_MAX_BYTES];
    const char *refused[] = {text};
    size_t used = 0;

    for (size_t i = 0; used < 8192; i++)
        used += (size_t)sprintf(alternation + used, "word%zu|", i * 7919 % 100000);
    strcpy(alternation + used, "last");
    assert_true(pattern_finds(alternation, "at last"));
    assert_false(pattern_finds(alternation, "first"));
    memset(nested, '(', 100);
    strcpy(nested + 100, "a");
    memset(nested + 101, ')', 100);
    assert_true(pattern_finds(nested, "a"));
    memset(huge, 'x', 16385);
    quote_pattern(huge, text);
    assert_refused(refused, 1, "[id~= >|\"|< xxx");
    assert_refused(refused, 1, "x…]: regular expression: longer than 16384 bytes");
    quote_pattern("(\\pL{100}){10}", text);
    assert_refused(refused, 1, "regular expression: too large once compiled");
}

static void a_long_text_is_shown_around_its_error(void **state)
{
    static char text[3000];
    const char *texts[] = {text};

    for (size_t i = 0; i < 1000; i++)
        memcpy(text + 6 + 2 * i, "é", 3);
    memcpy(text, "id==\"x", 6);
    strcpy(text + 2006, "\\q\"");
    assert_refused(texts, 1, "[id== >|\"|< xé");
    assert_refused(texts, 1, "é…]: illegal escape sequence");
    memset(text, 'a', 2000);
    strcpy(text + 2000, "?");
    assert_refused(texts, 1, "filters: parse error: […aaa");
    assert_refused(texts, 1, "a >|?|< ]: expected an operator");
}

static void time_grows_with_the_text_and_no_faster(void **state)
{
    static const char *const patterns[] = {"^(a+)+$", "(x+x+)+y", "^(a|aa|a+)*$", "(a|b)*a(a|b){12}c"};
    static char text[65536];
    clock_t begun = clock();

    memset(text, 'a', sizeof(text) - 2);
    text[sizeof(text) - 2] = '!';
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
        assert_false(pattern_finds(patterns[i], text));
    assert_true((clock() - begun) / CLOCKS_PER_SEC < 3);
}

static void a_text_too_long_for_its_pattern_is_an_error_and_never_a_mismatch(void **state)
{
    static char text[1 << 20];
    struct berth_filter *filter = create(".*a.{900}b");
    struct berth_error err;
    clock_t begun = clock();
    bool found;

    memset(text, 'a', sizeof(text) - 1);
    assert_int_equal(berth_filter_match(filter, text_field, text, &found, &err), BERTH_RESOURCE_EXHAUSTED);
    assert_string_equal(err.message,
                        "filters: regular expression \".*a.{900}b\": too complex to search a value of "
                        "1048575 bytes; use a simpler expression");
    assert_true((clock() - begun) / (CLOCKS_PER_SEC / 1000) < 100);
    assert_false(finds(filter, "ab"));
    berth_filter_destroy(filter);
    assert_true(pattern_finds("a$", text));
}

static void a_filter_that_uses_up_its_time_fails_and_recovers(void **state)
{
    static char text[4096];
    struct berth_filter *filter = create(".*a.{900}b");
    enum berth_code code = BERTH_OK;
    struct berth_error err;
    clock_t begun = clock();
    bool found = true;

    memset(text, 'a', sizeof(text) - 1);
    for (int i = 0; i < 1000 && code == BERTH_OK; i++)
        code = berth_filter_match(filter, text_field, text, &found, &err);
    assert_int_equal(code, BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.message, "used more than 500 ms of CPU time"));
    assert_true((clock() - begun) / CLOCKS_PER_SEC < 3);
    for (int i = 0; i < 100 && code != BERTH_OK; i++) {
        usleep(100 * 1000);
        code = berth_filter_match(filter, text_field, (void *)(uintptr_t) "b", &found, &err);
    }
    assert_int_equal(code, BERTH_OK);
    assert_false(found);
    berth_filter_destroy(filter);
}

/* The texts make RE2 fill its cache of states. */
static void a_thousand_subscribers_with_a_pattern_each_fit_into_memory(void **state)
{
    enum { SUBSCRIBERS = 1000 };
    static struct berth_filter *filters[SUBSCRIBERS];
    static char text[512];
    size_t before;

    berth_filter_destroy(create("loaded before it is measured"));
    before = mallinfo2().uordblks + mallinfo2().hblkhd;
    for (size_t i = 0; i < SUBSCRIBERS; i++)
        filters[i] = create("/containers/.*(a|b)*a(a|b){9}c");
    for (size_t i = 0; i < sizeof(text) - 1; i++)
        text[i] = i * i % 7 < 3 ? 'a' : 'b';
    memcpy(text, "/containers/", 12);
    for (size_t i = 0; i < SUBSCRIBERS; i++)
        assert_false(finds(filters[i], text));
    assert_true(mallinfo2().uordblks + mallinfo2().hblkhd - before < (size_t)SUBSCRIBERS * (40 << 10));
    for (size_t i = 0; i < SUBSCRIBERS; i++)
        berth_filter_destroy(filters[i]);
}

static void the_engine_is_loaded_with_the_first_regular_expression(void **state)
{
    void *engine = dlopen("libberth-filter-re2.so.0", RTLD_NOW | RTLD_NOLOAD);

    assert_null(engine);
    assert_true(matches((const char *const[]){"id==lmdb"}, 1));
    assert_null(dlopen("libberth-filter-re2.so.0", RTLD_NOW | RTLD_NOLOAD));
    assert_true(matches((const char *const[]){"id~=lmdb"}, 1));
    engine = dlopen("libberth-filter-re2.so.0", RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(engine);
    dlclose(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_engine_is_loaded_with_the_first_regular_expression),
        cmocka_unit_test(a_filter_matches_what_it_says),
        cmocka_unit_test(of_several_filters_one_is_enough),
        cmocka_unit_test(a_filter_is_refused_in_containerds_words),
        cmocka_unit_test(what_one_request_asks_is_bounded),
        cmocka_unit_test(a_regular_expression_means_what_it_means_to_go),
        cmocka_unit_test(what_only_other_dialects_know_is_refused),
        cmocka_unit_test(one_hard_text_costs_the_others_nothing),
        cmocka_unit_test(a_field_that_no_object_has_is_refused_with_those_that_there_are),
        cmocka_unit_test(large_patterns_match_or_are_refused),
        cmocka_unit_test(a_long_text_is_shown_around_its_error),
        cmocka_unit_test(time_grows_with_the_text_and_no_faster),
        cmocka_unit_test(a_text_too_long_for_its_pattern_is_an_error_and_never_a_mismatch),
        cmocka_unit_test(a_filter_that_uses_up_its_time_fails_and_recovers),
        cmocka_unit_test(a_thousand_subscribers_with_a_pattern_each_fit_into_memory),
    };

    return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
