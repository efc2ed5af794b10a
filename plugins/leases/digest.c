/* SPDX-License-Identifier: Apache-2.0 */
/* Digests as the OCI's image specification has them: "sha256:…". */
#include "digest.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define ENCODED "ABCDEFGHIJKLMNOPQRSTUVWXYZ" LOWER DIGITS "=_-"

static const char no_digest[] = "invalid checksum digest format";

/* Lower-case words and numbers, joined by single `+`, `.`, `_` and `-`. */
static bool is_algorithm(const char *text, size_t length)
{
    bool joins = true;

    for (size_t i = 0; i < length; i++) {
        bool is_word = strchr(LOWER DIGITS, text[i]) != NULL;

        if (!is_word && (joins || strchr("+._-", text[i]) == NULL))
            return false;
        joins = !is_word;
    }
    return !joins;
}

/* How many characters follow an algorithm that is known; 0 for others. */
static size_t encoded_length(const char *text, size_t length)
{
    static const struct {
        const char *name;
        size_t length;
    } known[] = {{"sha256", 64}, {"sha384", 96}, {"sha512", 128}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strlen(known[i].name) == length && strncmp(text, known[i].name, length) == 0)
            return known[i].length;
    return 0;
}

const char *digest_check(const char *text)
{
    const char *colon = strchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : 0;
    size_t wanted;

    if (length == 0 || colon[1] == '\0')
        return no_digest;
    wanted = encoded_length(text, length);
    if (wanted == 0) {
        bool is_one = is_algorithm(text, length) && colon[1 + strspn(colon + 1, ENCODED)] == '\0';

        return is_one ? "unsupported digest algorithm" : no_digest;
    }
    if (strlen(colon + 1) != wanted)
        return "invalid checksum digest length";
    return colon[1 + strspn(colon + 1, "abcdef" DIGITS)] == '\0' ? NULL : no_digest;
}
