/* SPDX-License-Identifier: Apache-2.0 */
/* The trusted comment of a module's signature: "berth module=hello version=1.2.0". */
#include "trust.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>

#define FIRST_WORD "berth"
#define BLANK " \t"

char *trust_format_comment(const char *module, const char *version)
{
    return memory_format(FIRST_WORD " module=%s version=%s", module, version);
}

/* @return false if it was named before. */
static bool take_value(const char *word, size_t length, const char *key, char **value)
{
    size_t key_length = strlen(key);

    if (length < key_length || strncmp(word, key, key_length) != 0)
        return true;
    if (*value != NULL)
        return false;
    *value = memory_or_abort(strndup(word + key_length, length - key_length));
    return true;
}

bool trust_parse_comment(const char *comment, char **ret_module, char **ret_version)
{
    size_t length = strcspn(comment, BLANK);
    char *module = NULL, *version = NULL;
    bool is_fine = true;

    *ret_module = NULL;
    *ret_version = NULL;
    if (length != strlen(FIRST_WORD) || strncmp(comment, FIRST_WORD, length) != 0)
        return true;
    for (comment += length; is_fine; comment += length) {
        comment += strspn(comment, BLANK);
        length = strcspn(comment, BLANK);
        if (length == 0)
            break;
        is_fine = take_value(comment, length, "module=", &module) &&
                  take_value(comment, length, "version=", &version);
    }
    if (is_fine) {
        *ret_module = module;
        *ret_version = version;
    } else {
        free(module);
        free(version);
    }
    return is_fine;
}
