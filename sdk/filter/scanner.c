/* SPDX-License-Identifier: Apache-2.0 */
/* Splits the text of a filter into tokens, by the rules of containerd's scanner. */
#include "scanner.h"

#include <string.h>

#define REPLACEMENT 0xfffd

static void note_error(struct scanner *scanner, const char *error)
{
    if (scanner->error == NULL)
        scanner->error = error;
}

/* How many bytes follow a leading byte, and the bits it carries; -1 if it leads nothing. */
static int continuation_count(unsigned char lead, int32_t *ret_bits)
{
    if (lead >= 0xc2 && lead <= 0xdf)
        return *ret_bits = lead & 0x1f, 1;
    if (lead >= 0xe0 && lead <= 0xef)
        return *ret_bits = lead & 0x0f, 2;
    if (lead >= 0xf0 && lead <= 0xf4)
        return *ret_bits = lead & 0x07, 3;
    return -1;
}

static bool is_in_range(int32_t rune, int count)
{
    static const int32_t least[] = {0, 0x80, 0x800, 0x10000};

    return rune >= least[count] && rune <= 0x10ffff && (rune < 0xd800 || rune > 0xdfff);
}

/* Decodes one code point; REPLACEMENT and one byte for what is none. */
static int32_t decode(const char *text, size_t length, size_t *ret_width)
{
    const unsigned char *bytes = (const unsigned char *)text;
    int32_t rune = bytes[0];
    int count;

    *ret_width = 1;
    if (rune < 0x80)
        return rune;
    count = continuation_count(bytes[0], &rune);
    if (count < 0 || (size_t)count >= length)
        return REPLACEMENT;
    for (int i = 1; i <= count; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return REPLACEMENT;
        rune = (rune << 6) | (bytes[i] & 0x3f);
    }
    if (!is_in_range(rune, count))
        return REPLACEMENT;
    *ret_width = (size_t)count + 1;
    return rune;
}

static int32_t read_rune(struct scanner *scanner)
{
    size_t width;
    int32_t rune;

    if (scanner->at >= scanner->length)
        return SCANNER_END;
    scanner->at = scanner->next;
    if (scanner->at >= scanner->length)
        return SCANNER_END;
    rune = decode(scanner->text + scanner->at, scanner->length - scanner->at, &width);
    scanner->next += width;
    if (rune != REPLACEMENT)
        return rune;
    note_error(scanner, "rune error");
    return SCANNER_ILLEGAL;
}

int32_t scanner_peek(struct scanner *scanner)
{
    size_t at = scanner->at;
    size_t next = scanner->next;
    int32_t rune = read_rune(scanner);

    scanner->at = at;
    scanner->next = next;
    return rune;
}

static bool is_one_of(int32_t rune, const char *characters)
{
    return rune > 0 && rune < 0x80 && strchr(characters, rune) != NULL;
}

static bool is_field_rune(int32_t rune)
{
    return is_one_of(rune, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
}

/* White space as Unicode has it. */
static bool is_space(int32_t rune)
{
    return is_one_of(rune, "\t\n\v\f\r ") || rune == 0x85 || rune == 0xa0 || rune == 0x1680 ||
           (rune >= 0x2000 && rune <= 0x200a) || rune == 0x2028 || rune == 0x2029 || rune == 0x202f ||
           rune == 0x205f || rune == 0x3000;
}

static bool is_control(int32_t rune)
{
    return rune < 0x20 || (rune >= 0x7f && rune <= 0x9f);
}

static bool is_value_rune(int32_t rune)
{
    return rune != ',' && !is_control(rune) && !is_space(rune);
}

static bool is_operator_rune(int32_t rune)
{
    return is_one_of(rune, "=!~");
}

static void skip_while(struct scanner *scanner, bool (*belongs)(int32_t rune))
{
    while (belongs(scanner_peek(scanner)))
        read_rune(scanner);
}

static int digit_value(int32_t rune)
{
    if (rune >= '0' && rune <= '9')
        return rune - '0';
    if (rune >= 'a' && rune <= 'f')
        return rune - 'a' + 10;
    if (rune >= 'A' && rune <= 'F')
        return rune - 'A' + 10;
    return 16;
}

/* Reads `count` digits, the first of which is `rune`; leaves the character behind them in `ret_next`. */
static bool skip_digits(struct scanner *scanner, int32_t rune, int base, int count, int32_t *ret_next)
{
    while (count > 0 && digit_value(rune) < base) {
        rune = read_rune(scanner);
        count--;
    }
    *ret_next = rune;
    if (count > 0)
        note_error(scanner, "illegal numeric escape sequence");
    return count == 0;
}

/* Reads what follows a backslash. */
static bool skip_escape(struct scanner *scanner, int32_t quote, int32_t *ret_next)
{
    int32_t rune = read_rune(scanner);

    *ret_next = rune;
    if (rune == quote || is_one_of(rune, "abfnrtv\\")) {
        *ret_next = read_rune(scanner);
        return true;
    }
    if (is_one_of(rune, "01234567"))
        return skip_digits(scanner, rune, 8, 3, ret_next);
    if (is_one_of(rune, "xuU"))
        return skip_digits(scanner, read_rune(scanner), 16, rune == 'x' ? 2 : rune == 'u' ? 4 : 8, ret_next);
    note_error(scanner, "illegal escape sequence");
    return false;
}

static bool skip_quoted(struct scanner *scanner, int32_t quote)
{
    int32_t rune = read_rune(scanner);
    bool legal = true;

    while (rune != quote) {
        if (rune == '\n' || rune < 0) {
            note_error(scanner, "quoted literal not terminated");
            return false;
        }
        if (rune != '\\')
            rune = read_rune(scanner);
        else if (!skip_escape(scanner, quote, &rune))
            legal = false;
    }
    return legal;
}

static enum token scan_from(struct scanner *scanner, int32_t rune)
{
    if (rune == SCANNER_END)
        return TOKEN_END;
    if (rune == SCANNER_ILLEGAL)
        return TOKEN_ILLEGAL;
    if (is_one_of(rune, "/|\""))
        return skip_quoted(scanner, rune) ? TOKEN_QUOTED : TOKEN_ILLEGAL;
    if (is_one_of(rune, ",.")) {
        scanner->wants_value = false;
        return TOKEN_SEPARATOR;
    }
    if (is_operator_rune(rune)) {
        skip_while(scanner, is_operator_rune);
        scanner->wants_value = true;
        return TOKEN_OPERATOR;
    }
    if (scanner->wants_value) {
        skip_while(scanner, is_value_rune);
        scanner->wants_value = false;
        return TOKEN_VALUE;
    }
    if (!is_field_rune(rune))
        return TOKEN_OTHER;
    skip_while(scanner, is_field_rune);
    return TOKEN_FIELD;
}

struct lexeme scanner_scan(struct scanner *scanner)
{
    struct lexeme lexeme;
    int32_t rune = read_rune(scanner);

    while (is_space(rune))
        rune = read_rune(scanner);
    lexeme.at = scanner->at;
    lexeme.token = scan_from(scanner, rune);
    lexeme.text = scanner->text + lexeme.at;
    lexeme.length = scanner->next > lexeme.at ? scanner->next - lexeme.at : 0;
    return lexeme;
}
