/* SPDX-License-Identifier: Apache-2.0 */
/* Parses one filter into selectors. Error messages are worded as containerd's. */
#include "selector.h"

#include <stdlib.h>
#include <string.h>

#include "quote.h"
#include "scanner.h"

struct parser {
    struct scanner scanner;
    struct selector_budget *budget;
    struct berth_error *err;
};

static enum berth_code out_of_memory(struct parser *parser)
{
    return berth_error_set(parser->err, BERTH_RESOURCE_EXHAUSTED, "no memory for the filter");
}

/* How much of a long text an error shows on either side of its place. */
#define SHOWN_MAX 400

static bool is_inside_character(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* Where to begin so that at most SHOWN_MAX bytes are shown before `at`, and no half character. */
static size_t shown_from(const char *text, size_t at)
{
    size_t from = at > SHOWN_MAX ? at - SHOWN_MAX : 0;

    while (from < at && is_inside_character(text[from]))
        from++;
    return from;
}

static size_t shown_length(const char *text, size_t length)
{
    if (length <= SHOWN_MAX)
        return length;
    length = SHOWN_MAX;
    while (length > 0 && is_inside_character(text[length]))
        length--;
    return length;
}

/* Shows the text with the place of the error between ">|" and "|<". */
BERTH_PRINTF(3, 4)
static enum berth_code fail_at(struct parser *parser, size_t at, const char *format, ...)
{
    const char *text = parser->scanner.text;
    size_t length = parser->scanner.length;
    size_t from = shown_from(text, at < length ? at : length);
    const char *begin = from > 0 ? "…" : "";
    struct berth_error reason;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason.message, sizeof(reason.message), format, arguments);
    va_end(arguments);
    if (at < length) {
        size_t behind = shown_length(text + at + 1, length - at - 1);

        return berth_error_set(parser->err, BERTH_INVALID_ARGUMENT,
                               "filters: parse error: [%s%.*s >|%c|< %.*s%s]: %.200s: invalid argument",
                               begin, (int)(at - from), text + from, text[at], (int)behind, text + at + 1,
                               at + 1 + behind < length ? "…" : "", reason.message);
    }
    return berth_error_set(parser->err, BERTH_INVALID_ARGUMENT,
                           "filters: parse error: [%s%s]: %.200s: invalid argument", begin, text + from,
                           reason.message);
}

static enum berth_code copy(struct parser *parser, const struct lexeme *lexeme, char **ret_text)
{
    *ret_text = strndup(lexeme->text, lexeme->length);
    return *ret_text == NULL ? out_of_memory(parser) : BERTH_OK;
}

static enum berth_code copy_unquoted(struct parser *parser, const struct lexeme *lexeme, bool any_quotes,
                                     char **ret_text)
{
    char *text;

    if (!any_quotes && lexeme->text[0] != '"')
        return fail_at(parser, lexeme->at, "invalid quote encountered");
    text = malloc(lexeme->length);
    if (text == NULL)
        return out_of_memory(parser);
    if (!quote_remove(lexeme->text, lexeme->length, text)) {
        free(text);
        return fail_at(parser, lexeme->at, "unquoting failed: quote syntax error");
    }
    *ret_text = text;
    return BERTH_OK;
}

static enum berth_code parse_field(struct parser *parser, char **ret_field)
{
    struct lexeme lexeme = scanner_scan(&parser->scanner);

    if (lexeme.token == TOKEN_FIELD)
        return copy(parser, &lexeme, ret_field);
    if (lexeme.token == TOKEN_QUOTED)
        return copy_unquoted(parser, &lexeme, false, ret_field);
    if (lexeme.token == TOKEN_ILLEGAL)
        return fail_at(parser, lexeme.at, "%s", parser->scanner.error);
    return fail_at(parser, lexeme.at, "expected field or quoted");
}

static enum berth_code add_field(struct parser *parser, struct selector *selector)
{
    char **path = reallocarray(selector->path, selector->path_count + 1, sizeof(*path));
    char *field = NULL;
    enum berth_code code;

    if (path == NULL)
        return out_of_memory(parser);
    selector->path = path;
    code = parse_field(parser, &field);
    if (code == BERTH_OK)
        path[selector->path_count++] = field;
    return code;
}

static enum berth_code parse_path(struct parser *parser, struct selector *selector)
{
    enum berth_code code = add_field(parser, selector);

    while (code == BERTH_OK && scanner_peek(&parser->scanner) == '.') {
        scanner_scan(&parser->scanner);
        code = add_field(parser, selector);
    }
    return code;
}

static bool lexeme_is(const struct lexeme *lexeme, const char *text)
{
    return lexeme->length == strlen(text) && memcmp(lexeme->text, text, lexeme->length) == 0;
}

static enum berth_code parse_operator(struct parser *parser, enum comparison *ret_comparison)
{
    struct lexeme lexeme = scanner_scan(&parser->scanner);

    if (lexeme.token == TOKEN_ILLEGAL)
        return fail_at(parser, lexeme.at, "%s", parser->scanner.error);
    if (lexeme.token != TOKEN_OPERATOR)
        return fail_at(parser, lexeme.at, "expected an operator (\"==\"|\"!=\"|\"~=\")");
    if (lexeme_is(&lexeme, "=="))
        *ret_comparison = COMPARE_EQUAL;
    else if (lexeme_is(&lexeme, "!="))
        *ret_comparison = COMPARE_NOT_EQUAL;
    else if (lexeme_is(&lexeme, "~="))
        *ret_comparison = COMPARE_MATCHES;
    else
        return fail_at(parser, lexeme.at, "unsupported operator \"%.*s\"", (int)lexeme.length, lexeme.text);
    return BERTH_OK;
}

static enum berth_code parse_value(struct parser *parser, struct selector *selector, size_t *ret_at)
{
    struct lexeme lexeme = scanner_scan(&parser->scanner);

    *ret_at = lexeme.at;
    if (lexeme.token == TOKEN_VALUE)
        return copy(parser, &lexeme, &selector->value);
    if (lexeme.token == TOKEN_QUOTED)
        return copy_unquoted(parser, &lexeme, selector->comparison == COMPARE_MATCHES, &selector->value);
    if (lexeme.token == TOKEN_ILLEGAL)
        return fail_at(parser, lexeme.at, "%s", parser->scanner.error);
    return fail_at(parser, lexeme.at, "expected value or quoted");
}

static enum berth_code compile_value(struct parser *parser, struct selector *selector, size_t at)
{
    struct berth_error reason;
    enum berth_code code;

    if (parser->budget->patterns == 0)
        return berth_error_set(
            parser->err, BERTH_INVALID_ARGUMENT,
            "filters: more regular expressions than one request may have: invalid argument");
    parser->budget->patterns--;
    code = pattern_create(selector->value, &parser->budget->pattern_bytes, &selector->pattern, &reason);
    if (code == BERTH_INVALID_ARGUMENT)
        return fail_at(parser, at, "regular expression: %s", reason.message);
    return code == BERTH_OK ? BERTH_OK : berth_error_set(parser->err, code, "filters: %s", reason.message);
}

static enum berth_code parse_selector(struct parser *parser, struct selector *selector)
{
    enum berth_code code = parse_path(parser, selector);
    int32_t next = scanner_peek(&parser->scanner);
    size_t at = 0;

    if (code != BERTH_OK || next == ',' || next == SCANNER_END)
        return code;
    code = parse_operator(parser, &selector->comparison);
    if (code == BERTH_OK)
        code = parse_value(parser, selector, &at);
    if (code == BERTH_OK && selector->comparison == COMPARE_MATCHES)
        code = compile_value(parser, selector, at);
    return code;
}

static enum berth_code add_selector(struct parser *parser, struct selectors *selectors)
{
    struct selector *items;

    if (parser->budget->selectors == 0)
        return berth_error_set(parser->err, BERTH_INVALID_ARGUMENT,
                               "filters: more selectors than one request may have: invalid argument");
    parser->budget->selectors--;
    items = reallocarray(selectors->items, selectors->count + 1, sizeof(*items));
    if (items == NULL)
        return out_of_memory(parser);
    selectors->items = items;
    items[selectors->count] = (struct selector){0};
    return parse_selector(parser, &items[selectors->count++]);
}

/* The character at a place, for a message; U+FFFD for what is none. */
static enum berth_code unexpected(struct parser *parser)
{
    const struct scanner *scanner = &parser->scanner;
    const char *text = scanner->text + scanner->next;
    int length = 1;

    if (scanner_peek(&parser->scanner) == SCANNER_ILLEGAL)
        return fail_at(parser, scanner->next, "unexpected input: \xef\xbf\xbd");
    while ((text[length] & 0xc0) == 0x80)
        length++;
    return fail_at(parser, scanner->next, "unexpected input: %.*s", length, text);
}

enum berth_code selectors_parse(const char *text, struct selector_budget *budget, struct selectors *selectors,
                                struct berth_error *err)
{
    struct parser parser = {
        .scanner = {.text = text, .length = strlen(text)},
        .budget = budget,
        .err = err,
    };
    enum berth_code code;
    int32_t next;

    *selectors = (struct selectors){0};
    if (parser.scanner.length == 0)
        return BERTH_OK;
    code = add_selector(&parser, selectors);
    while (code == BERTH_OK && (next = scanner_peek(&parser.scanner)) != SCANNER_END) {
        if (next != ',')
            return unexpected(&parser);
        scanner_scan(&parser.scanner);
        code = add_selector(&parser, selectors);
    }
    return code;
}

static void selector_finish(struct selector *selector)
{
    for (size_t i = 0; i < selector->path_count; i++)
        free(selector->path[i]);
    free(selector->path);
    free(selector->value);
    pattern_destroy(selector->pattern);
}

void selectors_finish(struct selectors *selectors)
{
    for (size_t i = 0; i < selectors->count; i++)
        selector_finish(&selectors->items[i]);
    free(selectors->items);
}
