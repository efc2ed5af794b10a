/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of a connection, cut at will: the pieces must read as the whole does, whatever is in them. */
#include <assert.h>
#include <string.h>

#include <sdk/rpc/http1/reader.h>

#define BUDGET (64 * 1024)

/* A number that tells one row of requests from another. */
struct account {
    uint64_t sum;
    size_t count;
};

static void add(struct account *account, const void *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        account->sum = (account->sum + ((const unsigned char *)bytes)[i] + 1) * UINT64_C(1099511628211);
    account->count++;
}

static void add_text(struct account *account, const char *text)
{
    add(account, text, strlen(text));
}

static void note(struct account *account, const struct http1_reader *reader)
{
    char host[64];

    assert(reader->path[0] == '/' && strstr(reader->path, "/../") == NULL &&
           strstr(reader->path, "/./") == NULL);
    add_text(account, reader->method);
    add_text(account, reader->path);
    add_text(account, reader->query);
    http1_host_name(reader->host, host, sizeof(host));
    for (size_t i = 0; i < reader->field_count; i++) {
        add_text(account, reader->fields[i].name);
        add_text(account, reader->fields[i].value);
        http1_list_has(reader->fields[i].value, "close");
    }
    add(account, reader->body.bytes, reader->body.length);
}

static struct account read_all(const uint8_t *data, size_t size, size_t step)
{
    struct budget budget = {.limit = BUDGET};
    struct http1_reader reader = {.max_head_bytes = 4096, .max_body_bytes = 4096, .budget = &budget};
    struct account account = {0};
    size_t at = 0;
    bool is_open = true;

    while (is_open && at < size) {
        size_t piece = size - at < step ? size - at : step;
        size_t used;

        switch (http1_read(&reader, data + at, piece, &used)) {
        case HTTP1_READ_MORE:
            assert(used == piece);
            break;
        case HTTP1_READ_HEAD:
            assert(reader.host != NULL);
            break;
        case HTTP1_READ_WHOLE:
            note(&account, &reader);
            http1_reader_next(&reader);
            assert(budget.used == 0);
            break;
        case HTTP1_READ_FAILED:
            assert(reader.status >= 400 && reader.reason != NULL);
            add_text(&account, reader.reason);
            is_open = false;
            break;
        }
        at += used;
        /* A request without a body is whole once it is asked for again. */
        if (at == size && reader.phase == HTTP1_BODY && reader.left == 0) {
            http1_read(&reader, data + at, 0, &used);
            note(&account, &reader);
        }
    }
    http1_reader_finish(&reader);
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
