/* SPDX-License-Identifier: Apache-2.0 */
/* Trace headers of a hostile caller: what is accepted is within the limits and reads the same again. */
#include <assert.h>

#include <berth/trace.h>

#define HEADERS_MAX 8

static size_t read_headers(const uint8_t *data, size_t size, struct berth_metadata *ret_metadata)
{
    static const char *const keys[] = {BERTH_TRACE_PARENT, BERTH_TRACE_STATE, BERTH_TRACE_BAGGAGE};
    size_t count = 0;

    while (size > 0 && count < HEADERS_MAX) {
        const char *value = (const char *)data + 1;
        const char *end = memchr(value, '\n', size - 1);
        size_t length = end == NULL ? size - 1 : (size_t)(end - value);

        ret_metadata[count++] = (struct berth_metadata){keys[data[0] % 3], value, length};
        data += 1 + length + (end != NULL);
        size -= 1 + length + (end != NULL);
    }
    return count;
}

static void check_parent(const struct berth_metadata *metadata, size_t count)
{
    char text[BERTH_TRACE_PARENT_LENGTH + 1];
    struct berth_trace trace, again;

    if (berth_trace_received(metadata, count, &trace) != BERTH_OK)
        return;
    berth_trace_format(&trace, text);
    assert(strlen(text) == BERTH_TRACE_PARENT_LENGTH);
    assert(berth_trace_parse(text, strlen(text), &again));
    assert(memcmp(&trace, &again, sizeof(trace)) == 0);
}

/* Joined once, it is one header that is accepted and stays as it is. */
static void check_lists(const struct berth_metadata *metadata, size_t count)
{
    char state[BERTH_TRACE_STATE_MAX + 1], baggage[BERTH_TRACE_BAGGAGE_MAX + 1];
    char again[BERTH_TRACE_BAGGAGE_MAX + 1];

    if (berth_trace_state(metadata, count, state) == BERTH_OK) {
        const struct berth_metadata joined = {BERTH_TRACE_STATE, state, strlen(state)};

        assert(joined.value_length <= BERTH_TRACE_STATE_MAX);
        assert(berth_trace_state(&joined, 1, again) == BERTH_OK && strcmp(state, again) == 0);
    }
    if (berth_trace_baggage(metadata, count, baggage) == BERTH_OK) {
        const struct berth_metadata joined = {BERTH_TRACE_BAGGAGE, baggage, strlen(baggage)};

        assert(joined.value_length <= BERTH_TRACE_BAGGAGE_MAX);
        assert(berth_trace_baggage(&joined, 1, again) == BERTH_OK && strcmp(baggage, again) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct berth_metadata metadata[HEADERS_MAX];
    size_t count = read_headers(data, size, metadata);

    check_parent(metadata, count);
    check_lists(metadata, count);
    return 0;
}
