/* SPDX-License-Identifier: Apache-2.0 */
/* The readers of lock files, trusted comments and versions against any bytes. */
#include <core/trust/trust.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int is_true)
{
    if (!is_true)
        abort();
}

/* What was read is written, and reads back as the same. */
static void try_lock(const char *text, size_t length)
{
    struct config_diagnostics diagnostics = {0};
    struct trust_lock *lock = trust_lock_parse("fuzz.lock", text, length, &diagnostics), *second;
    size_t count;
    char *written, *again;

    must((lock != NULL) == (diagnostics.error_count == 0));
    if (lock != NULL) {
        const struct trust_locked *items = trust_lock_items(lock, &count);

        for (size_t i = 0; i < count; i++)
            must(strlen(items[i].sha256) == 64 && (items[i].module != NULL) == (items[i].version != NULL));
        written = trust_lock_format(items, count);
        second = trust_lock_parse("again.lock", written, strlen(written), &diagnostics);
        must(second != NULL);
        items = trust_lock_items(second, &count);
        again = trust_lock_format(items, count);
        must(strcmp(written, again) == 0);
        free(written);
        free(again);
        trust_lock_destroy(second);
    }
    trust_lock_destroy(lock);
    config_diagnostics_finish(&diagnostics);
}

static int sign(int order)
{
    return (order > 0) - (order < 0);
}

static void try_words(const char *text)
{
    const char *slash = strchr(text, '/');
    char *module, *version, *left = strndup(text, slash != NULL ? (size_t)(slash - text) : strlen(text));
    const char *right = slash != NULL ? slash + 1 : "1.2.0-rc1";

    if (trust_parse_comment(text, &module, &version)) {
        must(module == NULL || strpbrk(module, " \t") == NULL);
        free(module);
        free(version);
    }
    must(trust_compare_versions(left, left) == 0);
    must(sign(trust_compare_versions(left, right)) == -sign(trust_compare_versions(right, left)));
    free(left);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    memcpy(text, data, size);
    text[size] = '\0';
    try_lock(text, size);
    try_words(text);
    free(text);
    return 0;
}
