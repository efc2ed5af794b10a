/* SPDX-License-Identifier: Apache-2.0 */
/* Names of a manifest or a .proto as C identifiers that are keywords of neither C nor C++. */
#include "names.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>

static const char *const keywords[] = {
    "alignas",
    "alignof",
    "and",
    "and_eq",
    "asm",
    "auto",
    "bitand",
    "bitor",
    "bool",
    "break",
    "case",
    "catch",
    "char",
    "char16_t",
    "char32_t",
    "char8_t",
    "class",
    "co_await",
    "co_return",
    "co_yield",
    "compl",
    "concept",
    "const",
    "const_cast",
    "consteval",
    "constexpr",
    "constinit",
    "continue",
    "decltype",
    "default",
    "delete",
    "do",
    "double",
    "dynamic_cast",
    "else",
    "enum",
    "errno",
    "explicit",
    "export",
    "extern",
    "false",
    "float",
    "for",
    "friend",
    "goto",
    "if",
    "inline",
    "int",
    "linux",
    "long",
    "mutable",
    "namespace",
    "new",
    "noexcept",
    "not",
    "not_eq",
    "nullptr",
    "operator",
    "or",
    "or_eq",
    "private",
    "protected",
    "public",
    "register",
    "reinterpret_cast",
    "requires",
    "restrict",
    "return",
    "short",
    "signed",
    "sizeof",
    "static",
    "stderr",
    "stdin",
    "stdout",
    "static_assert",
    "static_cast",
    "struct",
    "switch",
    "template",
    "this",
    "thread_local",
    "throw",
    "true",
    "try",
    "typedef",
    "typeid",
    "typename",
    "typeof",
    "union",
    "unix",
    "unsigned",
    "using",
    "virtual",
    "void",
    "volatile",
    "wchar_t",
    "while",
    "xor",
    "xor_eq",
};

static bool is_keyword(const char *name)
{
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
        if (strcmp(name, keywords[i]) == 0)
            return true;
    return false;
}

char *names_from(const char *name)
{
    char *result = memory_format("%s%s%s", isdigit((unsigned char)name[0]) ? "n" : "", name,
                                 is_keyword(name) ? "_" : "");

    for (char *c = result; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) || (unsigned char)*c > 127)
            *c = '_';
    return result;
}

char *names_for_plugin(const char *id)
{
    char *name = names_from(id);
    char *prefixed;

    if (strcmp(name, "uv") != 0 && strncmp(name, "berth", 5) != 0)
        return name;
    prefixed = memory_format("plugin_%s", name);
    free(name);
    return prefixed;
}

/* A word begins at a capital that follows a small letter or digit, or that ends a run of capitals. */
static bool begins_word(const char *name, size_t i)
{
    if (i == 0 || !isupper((unsigned char)name[i]))
        return false;
    if (islower((unsigned char)name[i - 1]) || isdigit((unsigned char)name[i - 1]))
        return true;
    return isupper((unsigned char)name[i - 1]) && islower((unsigned char)name[i + 1]);
}

char *names_words(const char *name)
{
    size_t length = strlen(name);
    char *spaced = memory_format("%*s", (int)(2 * length + 1), "");
    char *end = spaced;

    for (size_t i = 0; i < length; i++) {
        if (begins_word(name, i))
            *end++ = '_';
        *end++ = (char)tolower((unsigned char)name[i]);
    }
    *end = '\0';
    return spaced;
}

char *names_snake(const char *name)
{
    char *words = names_words(name);
    char *result = names_from(words);

    free(words);
    return result;
}

char *names_for_service(const char *name)
{
    char *words = names_words(name);

    for (char *c = words; *c != '\0'; c++)
        *c = *c == '.' ? '_' : *c;
    return words;
}

char *names_upper(const char *name)
{
    char *result = memory_copy(name);

    for (char *c = result; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    return result;
}

static const struct names_entry *find(const struct names_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->entries[i].name, name) == 0)
            return &set->entries[i];
    return NULL;
}

const char *names_set_add(struct names_set *set, const char *name, const char *meaning)
{
    const struct names_entry *taken = find(set, name);

    if (taken != NULL)
        return taken->meaning;
    set->entries = memory_grow(set->entries, set->count, sizeof(*set->entries));
    set->entries[set->count++] = (struct names_entry){
        .name = memory_copy(name),
        .meaning = memory_copy(meaning),
    };
    return NULL;
}

void names_set_finish(struct names_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        free(set->entries[i].name);
        free(set->entries[i].meaning);
    }
    free(set->entries);
    *set = (struct names_set){0};
}

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
            return memory_format("%.*s", (int)(length - n), file);
    }
    return memory_copy(file);
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
