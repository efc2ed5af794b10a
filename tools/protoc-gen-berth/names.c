/* SPDX-License-Identifier: Apache-2.0 */
/* Forms C names out of those of a .proto. */
#include "names.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tools/berth-sdk/cname.h>

static bool is_word_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static FILE *open_text(char **ret_text, size_t *ret_length)
{
    FILE *out = open_memstream(ret_text, ret_length);

    if (out == NULL)
        abort();
    return out;
}

/* An underscore goes, and what follows it or a dot is a capital. */
char *names_type(const char *full_name)
{
    char *text;
    size_t length;
    FILE *out = open_text(&text, &length);
    bool capital = true;

    for (const char *c = full_name; *c != '\0'; c++) {
        if (*c == '.')
            fputs("__", out);
        else if (*c != '_')
            fputc(capital ? toupper((unsigned char)*c) : *c, out);
        capital = *c == '.' || *c == '_';
    }
    fclose(out);
    return text;
}

/* A capital gets an underscore before it, unless one stands before it already or a word begins with it. */
char *names_symbol(const char *full_name)
{
    char *text;
    size_t length;
    FILE *out = open_text(&text, &length);
    bool was_upper = true;

    for (const char *c = full_name; *c != '\0'; c++) {
        bool upper = isupper((unsigned char)*c) != 0;

        if (*c == '.') {
            fputs("__", out);
            was_upper = true;
            continue;
        }
        if (upper && !was_upper)
            fputc('_', out);
        fputc(tolower((unsigned char)*c), out);
        was_upper = upper;
    }
    fclose(out);
    return text;
}

char *names_file_identifier(const char *file)
{
    char *text;
    size_t length;
    FILE *out = open_text(&text, &length);

    for (const char *c = file; *c != '\0'; c++)
        if (isalnum((unsigned char)*c))
            fputc(*c, out);
        else
            fprintf(out, "_%x", (unsigned)(unsigned char)*c);
    fclose(out);
    return text;
}

char *names_file_stem(const char *file)
{
    static const char *const endings[] = {".protodevel", ".proto"};
    size_t length = strlen(file);

    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        size_t n = strlen(endings[i]);

        if (length > n && strcmp(file + length - n, endings[i]) == 0)
            return cname_format("%.*s", (int)(length - n), file);
    }
    return cname_format("%s", file);
}

bool names_is_full(const char *name)
{
    bool begins = true;

    for (; *name != '\0'; name++) {
        if (*name == '.' ? begins : !is_word_character(*name) || (begins && isdigit((unsigned char)*name)))
            return false;
        begins = *name == '.';
    }
    return !begins;
}

bool names_is_word(const char *name)
{
    return strchr(name, '.') == NULL && names_is_full(name);
}

bool names_is_file(const char *name)
{
    if (*name == '\0' || *name == '/' || strlen(name) > 4096)
        return false;
    for (const char *c = name; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f || *c == '"' || *c == '\\' || *c == '*' || *c == '?')
            return false;
        if (strncmp(c, "..", 2) == 0 && (c == name || c[-1] == '/') && (c[2] == '/' || c[2] == '\0'))
            return false;
    }
    return true;
}
