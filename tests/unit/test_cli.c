/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines in every spelling, and what is wrong with the others. */
#include <tools/cli/cli.h>

#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

struct command_options {
    int unused;
};

static int never(const struct command_options *options)
{
    fail();
    return 0;
}

static const struct cli_option common[] = {
    {"config", 'c', "FILE", "file", 0},
    {"dir", 0, "DIR", "folders", 0},
    {0},
};

static const struct cli_option own[] = {
    {"json", 'j', NULL, "JSON", 'f'},
    {"dot", 0, NULL, "dot", 'f'},
    {"all", 'a', NULL, "all", 0},
    {0},
};

static const struct cli_command commands[] = {
    {"run", "", "runs", "Runs.\n", NULL, 0, 0, never},
    {"list things", "[WORD]...", "lists", "Lists.\n", own, 0, 3, never},
    {"show", "WORD", "shows one", "Shows one.\n", own, 1, 1, never},
    {0},
};

static const struct cli_program program = {"prog", "1.0",   "A program.", "Exit status: 0.\n",
                                           common, commands};

struct parsed {
    struct cli_line line;
    int code;
    char **argv;
};

/* `words` are separated by blanks. */
static struct parsed parse(const char *words)
{
    struct parsed parsed = {.argv = calloc(32, sizeof(char *))};
    char *rest = strdup(words);
    int argc = 1;

    parsed.argv[0] = strdup("prog");
    for (char *word = strtok(rest, " "); word != NULL; word = strtok(NULL, " "))
        parsed.argv[argc++] = strdup(word);
    free(rest);
    parsed.code = cli_parse(&program, argc, parsed.argv, &parsed.line);
    return parsed;
}

static void finish(struct parsed *parsed)
{
    for (char **word = parsed->argv; *word != NULL; word++)
        free(*word);
    free(parsed->argv);
    cli_line_finish(&parsed->line);
}

static void values_come_in_every_spelling(void **state)
{
    static const char *const spellings[] = {"run --config x", "run --config=x", "run -c x",
                                            "run -cx",        "-c x run",       "--config=y run -c x"};

    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
        struct parsed parsed = parse(spellings[i]);

        assert_int_equal(parsed.code, CLI_GO_ON);
        assert_ptr_equal(parsed.line.command, &commands[0]);
        assert_string_equal(cli_value(&parsed.line, "config"), "x");
        assert_false(cli_has(&parsed.line, "dir"));
        finish(&parsed);
    }
}

static void an_empty_value_is_a_value(void **state)
{
    struct parsed parsed = parse("run --config=");

    assert_int_equal(parsed.code, CLI_GO_ON);
    assert_string_equal(cli_value(&parsed.line, "config"), "");
    finish(&parsed);
}

static void a_value_may_look_like_an_option(void **state)
{
    struct parsed parsed = parse("run -c --dir");

    assert_int_equal(parsed.code, CLI_GO_ON);
    assert_string_equal(cli_value(&parsed.line, "config"), "--dir");
    assert_false(cli_has(&parsed.line, "dir"));
    finish(&parsed);
}

static void values_given_several_times_keep_their_order(void **state)
{
    struct parsed parsed = parse("--dir 1 run --config x --dir 2 --config y --dir=3");
    const char *const *values;
    size_t count;

    assert_int_equal(parsed.code, CLI_GO_ON);
    values = cli_values(&parsed.line, "dir", &count);
    assert_int_equal(count, 3);
    assert_string_equal(values[0], "1");
    assert_string_equal(values[1], "2");
    assert_string_equal(values[2], "3");
    assert_string_equal(cli_value(&parsed.line, "config"), "y");
    finish(&parsed);
}

static void options_and_words_mix(void **state)
{
    struct parsed parsed = parse("list things one -ja two --dir d - -- --dot");

    /* "-j" and "-a" in one word; "-" is a word; behind "--" all are. */
    assert_int_equal(parsed.code, CLI_EXIT_USAGE);
    finish(&parsed);
    parsed = parse("list things one -ja --dir d - -- --dot");
    assert_int_equal(parsed.code, CLI_GO_ON);
    assert_true(cli_has(&parsed.line, "json") && cli_has(&parsed.line, "all"));
    assert_false(cli_has(&parsed.line, "dot"));
    assert_int_equal(parsed.line.word_count, 3);
    assert_string_equal(parsed.line.words[0], "one");
    assert_string_equal(parsed.line.words[1], "-");
    assert_string_equal(parsed.line.words[2], "--dot");
    finish(&parsed);
}

static void what_is_wrong_is_usage(void **state)
{
    static const char *const wrong[] = {
        "",
        "--config",
        "-c",
        "run --config",
        "run -c",
        "run word",
        "run --jso",
        "run --json",
        "run -j",
        "run --configx",
        "run --conf x",
        "run --config-",
        "list things --json --dot",
        "list things -j --dot",
        "list things --json=",
        "list things -jz",
        "lst things",
        "list",
        "show",
        "list thinks a b",
        "list things a b c d",
        "--",
        "-",
        "--json list things",
        "--version=1",
        "run --version",
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct parsed parsed = parse(wrong[i]);

        if (parsed.code != CLI_EXIT_USAGE)
            fail_msg("\"%s\" gave %d", wrong[i], parsed.code);
        finish(&parsed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_in_every_spelling),
        cmocka_unit_test(an_empty_value_is_a_value),
        cmocka_unit_test(a_value_may_look_like_an_option),
        cmocka_unit_test(values_given_several_times_keep_their_order),
        cmocka_unit_test(options_and_words_mix),
        cmocka_unit_test(what_is_wrong_is_usage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
