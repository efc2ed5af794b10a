/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a connection, cut at will: the frames must be those of the bytes in one piece, and what is in them
 * is read as Request and as Response. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/rpc/ttrpc/message.h>

#define BUDGET (16 * 1024)

/* A number that tells one row of frames from another. */
struct account {
    uint64_t sum;
    size_t count;
};

static void add(struct account *account, uint64_t value)
{
    account->sum = account->sum * UINT64_C(1099511628211) + value;
}

static void read_metadata(struct span bytes, const struct ttrpc_request *request)
{
    struct ttrpc_pair pair;
    size_t count = 0;

    while (ttrpc_metadata_next(&bytes, &pair))
        count++;
    assert(count == request->metadata_count);
}

static void write_status(const struct ttrpc_response *response)
{
    size_t size = ttrpc_status_size(BERTH_ABORTED, response->message, response->details);
    unsigned char *bytes = malloc(size);
    struct ttrpc_response again;

    assert(bytes != NULL);
    ttrpc_status_write(bytes, BERTH_ABORTED, response->message, response->details);
    assert(ttrpc_response_parse((struct span){bytes, size}, &again) == NULL);
    assert(again.code == BERTH_ABORTED && again.message.length == response->message.length);
    free(bytes);
}

static void read_messages(const struct ttrpc_frame *frame)
{
    const struct span bytes = {frame->data, frame->length};
    struct ttrpc_request request;
    struct ttrpc_response response;

    if (ttrpc_request_parse(bytes, &request) == NULL)
        read_metadata(bytes, &request);
    if (ttrpc_response_parse(bytes, &response) == NULL)
        write_status(&response);
}

static void note(struct account *account, enum ttrpc_read read, const struct ttrpc_frame *frame)
{
    account->count++;
    add(account, read == TTRPC_READ_OVERSIZE);
    add(account, frame->id);
    add(account, (uint64_t)frame->type << 8 | frame->flags);
    add(account, frame->length);
    if (read != TTRPC_READ_FRAME)
        return;
    for (size_t i = 0; i < frame->length; i++)
        add(account, frame->data[i]);
    read_messages(frame);
}

static struct account read_all(const uint8_t *data, size_t size, size_t step)
{
    struct budget budget = {.limit = BUDGET};
    struct ttrpc_reader reader = {.budget = &budget};
    struct account account = {0};

    for (size_t at = 0; at < size; at += step) {
        struct span input = {data + at, size - at < step ? size - at : step};
        struct ttrpc_frame frame;
        enum ttrpc_read read;

        while ((read = ttrpc_reader_next(&reader, &input, &frame)) != TTRPC_READ_MORE)
            note(&account, read, &frame);
        assert(input.length == 0);
    }
    ttrpc_reader_finish(&reader);
    assert(budget.used == 0);
    return account;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct account whole;
    struct account cut;

    if (size < 1 || size > BUDGET)
        return 0;
    whole = read_all(data + 1, size - 1, size);
    cut = read_all(data + 1, size - 1, (size_t)data[0] + 1);
    assert(whole.sum == cut.sum && whole.count == cut.count);
    return 0;
}
