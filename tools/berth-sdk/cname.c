/* SPDX-License-Identifier: Apache-2.0 */
/* Turns names of a manifest into C identifiers that are keywords of neither C nor C++. */
#include "cname.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

char *cname_format(const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        abort();
    va_end(arguments);
    return text;
}

static bool is_keyword(const char *name)
{
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
        if (strcmp(name, keywords[i]) == 0)
            return true;
    return false;
}

char *cname_from(const char *name)
{
    char *result =
        cname_format("%s%s%s", isdigit((unsigned char)name[0]) ? "n" : "", name, is_keyword(name) ? "_" : "");

    for (char *c = result; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) || (unsigned char)*c > 127)
            *c = '_';
    return result;
}

char *cname_for_plugin(const char *id)
{
    char *name = cname_from(id);
    char *prefixed;

    if (strcmp(name, "uv") != 0 && strncmp(name, "berth", 5) != 0)
        return name;
    prefixed = cname_format("plugin_%s", name);
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

char *cname_words(const char *name)
{
    size_t length = strlen(name);
    char *spaced = cname_format("%*s", (int)(2 * length + 1), "");
    char *end = spaced;

    for (size_t i = 0; i < length; i++) {
        if (begins_word(name, i))
            *end++ = '_';
        *end++ = (char)tolower((unsigned char)name[i]);
    }
    *end = '\0';
    return spaced;
}

char *cname_snake(const char *name)
{
    char *words = cname_words(name);
    char *result = cname_from(words);

    free(words);
    return result;
}

char *cname_for_service(const char *name)
{
    char *words = cname_words(name);

    for (char *c = words; *c != '\0'; c++)
        *c = *c == '.' ? '_' : *c;
    return words;
}

char *cname_upper(const char *name)
{
    char *result = cname_format("%s", name);

    for (char *c = result; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    return result;
}

static const struct cname_entry *find(const struct cname_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->entries[i].name, name) == 0)
            return &set->entries[i];
    return NULL;
}

const char *cname_set_add(struct cname_set *set, const char *name, const char *meaning)
{
    const struct cname_entry *taken = find(set, name);

    if (taken != NULL)
        return taken->meaning;
    set->entries = reallocarray(set->entries, set->count + 1, sizeof(*set->entries));
    if (set->entries == NULL)
        abort();
    set->entries[set->count++] = (struct cname_entry){
        .name = cname_format("%s", name),
        .meaning = cname_format("%s", meaning),
    };
    return NULL;
}

void cname_set_finish(struct cname_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        free(set->entries[i].name);
        free(set->entries[i].meaning);
    }
    free(set->entries);
    *set = (struct cname_set){0};
}
