/* SPDX-License-Identifier: Apache-2.0 */
/* The readers of signatures and keys against any bytes: what they take, they write again as it was. */
#include <berth/signature.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int is_true)
{
    if (!is_true)
        abort();
}

static void try_signature(const char *text, size_t length)
{
    struct berth_signature *first = calloc(1, sizeof(*first)), *second = calloc(1, sizeof(*second));
    struct berth_error err = {""};
    char *again;

    if (berth_signature_parse(text, length, first, &err) == BERTH_OK) {
        must(strlen(first->comment) == first->comment_length &&
             first->comment_length < BERTH_SIGNATURE_COMMENT_MAX);
        again = berth_signature_format(first, "again");
        must(berth_signature_parse(again, strlen(again), second, &err) == BERTH_OK);
        must(first->is_prehashed == second->is_prehashed && strcmp(first->comment, second->comment) == 0);
        must(memcmp(first->key_id, second->key_id, sizeof(first->key_id)) == 0);
        must(memcmp(first->bytes, second->bytes, sizeof(first->bytes)) == 0);
        must(memcmp(first->global, second->global, sizeof(first->global)) == 0);
        free(again);
    } else {
        must(err.message[0] != '\0');
    }
    free(first);
    free(second);
}

static void try_public(const char *text, size_t length)
{
    struct berth_public_key first = {0}, second = {0};
    struct berth_error err = {""};
    char id[BERTH_KEY_ID_TEXT], *again;
    uint8_t bytes[BERTH_KEY_ID_BYTES];

    if (berth_public_key_parse(text, length, &first, &err) != BERTH_OK) {
        must(err.message[0] != '\0');
        return;
    }
    again = berth_public_key_format(&first);
    must(berth_public_key_parse(again, strlen(again), &second, &err) == BERTH_OK);
    must(memcmp(&first, &second, sizeof(first)) == 0);
    berth_key_id_format(first.id, id);
    must(berth_key_id_parse(id, bytes) && memcmp(bytes, first.id, sizeof(bytes)) == 0);
    free(again);
}

static void try_secret(const char *text, size_t length)
{
    struct berth_sealed_key first = {0}, second = {0};
    struct berth_error err = {""};
    char *again;

    if (berth_sealed_key_parse(text, length, &first, &err) != BERTH_OK) {
        must(err.message[0] != '\0');
        return;
    }
    must(!first.is_encrypted || first.memory <= UINT64_C(1) << 30);
    again = berth_sealed_key_format(&first);
    must(berth_sealed_key_parse(again, strlen(again), &second, &err) == BERTH_OK);
    must(first.is_encrypted == second.is_encrypted && first.memory == second.memory);
    must(memcmp(first.payload, second.payload, sizeof(first.payload)) == 0);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;

    try_signature(text, size);
    try_public(text, size);
    try_secret(text, size);
    return 0;
}
