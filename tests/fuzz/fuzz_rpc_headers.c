/* SPDX-License-Identifier: Apache-2.0 */
/* Header fields of a peer, a name and a value to each pair of lines, as a request's and as a response's. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <berth/utf8.h>
#include <sdk/rpc/message/metadata.h>
#include <sdk/rpc/http2/request.h>

static void check_metadata(const struct metadata_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        assert(list->items[i].key != NULL);
        assert(list->items[i].value[list->items[i].value_length] == '\0');
    }
}

static void check_timeout(const char *text, size_t length)
{
    char formatted[TIMEOUT_TEXT_MAX];
    uint64_t value;
    uint64_t again;

    if (!timeout_parse(text, length, &value))
        return;
    timeout_format(value, formatted);
    assert(timeout_parse(formatted, strlen(formatted), &again) && again >= value);
}

static bool is_text(const char *bytes, size_t length)
{
    size_t i = 0;

    while (i < length && berth_utf8_character(bytes + i, length - i) > 0)
        i += berth_utf8_character(bytes + i, length - i);
    return i == length;
}

static void check_percent(const char *text, size_t length)
{
    char *decoded = malloc(length + 1);
    char *encoded;
    size_t decoded_length = percent_decode(text, length, decoded);
    size_t encoded_length;

    assert(decoded_length <= length);
    encoded = malloc(PERCENT_ENCODED_MAX(decoded_length) + 1);
    encoded_length = percent_encode(decoded, decoded_length, encoded);
    assert(encoded_length <= PERCENT_ENCODED_MAX(decoded_length));
    encoded_length = percent_decode(encoded, encoded_length, encoded);
    if (is_text(decoded, decoded_length))
        assert(encoded_length == decoded_length && memcmp(encoded, decoded, decoded_length) == 0);
    assert(is_text(encoded, encoded_length));
    free(encoded);
    free(decoded);
}

static const char *line_end(const char *line, const char *end)
{
    const char *newline = memchr(line, '\n', (size_t)(end - line));

    return newline == NULL ? end : newline;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _Alignas(max_align_t) unsigned char first[256];
    const char *at = (const char *)data;
    const char *end = at + size;
    struct request request;
    struct berth_arena arena;

    if (size == 0)
        return 0;
    berth_arena_init(&arena, first, sizeof(first));
    request_init(&request, &arena);
    while (at < end) {
        const char *name_end = line_end(at, end);
        const char *value = name_end < end ? name_end + 1 : end;
        const char *value_end = line_end(value, end);

        request_add(&request, at, (size_t)(name_end - at), value, (size_t)(value_end - value), 8192);
        check_timeout(value, (size_t)(value_end - value));
        check_percent(value, (size_t)(value_end - value));
        at = value_end < end ? value_end + 1 : end;
    }
    request_complete(&request, true);
    assert(request.code != BERTH_OK || request.coding != CODING_UNKNOWN);
    check_metadata(&request.metadata);
    assert(request.code != BERTH_OK || (request.path != NULL && request.path[0] == '/'));
    berth_arena_finish(&arena);
    return 0;
}
