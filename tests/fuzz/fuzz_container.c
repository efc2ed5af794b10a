/* SPDX-License-Identifier: Apache-2.0 */
/* A stored container, an update of it and its mask, each after its length in a byte: what is written can be
 * read again, whatever was stored and asked for. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <plugins/containers/changes.h>
#include <plugins/containers/container.h>
#include <plugins/containers/search.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A store of one entry. */
struct store {
    struct berth_store_bytes value;
    struct berth_wire_buffer written;
    struct berth_store_update *update;
};

static struct store the_store;

static enum berth_code get(struct berth_store_txn *txn, const char *bucket, struct berth_store_bytes key,
                           struct berth_store_bytes *ret_value, struct berth_error *err)
{
    *ret_value = the_store.value;
    return BERTH_OK;
}

static enum berth_code put(struct berth_store_txn *txn, const char *bucket, struct berth_store_bytes key,
                           struct berth_store_bytes value, struct berth_error *err)
{
    struct container container = {0};

    if (container_read(&container, value, err) != BERTH_OK || container_check(&container, err) != BERTH_OK)
        abort();
    container_finish(&container);
    the_store.written.length = 0;
    berth_wire_put(&the_store.written, value.data, value.length);
    return BERTH_OK;
}

static void ask(void *instance, struct berth_store_update *update)
{
    the_store.update = update;
}

static const struct berth_store store = {.size = sizeof(store), .get = get, .put = put, .update = ask};

static enum berth_code publish(void *instance, const struct berth_event *event, struct berth_error *err)
{
    return BERTH_OK;
}

static const struct berth_exchange exchange = {.size = sizeof(exchange), .publish = publish};

static void on_done(void *context, enum berth_code code, const char *message, struct berth_store_bytes value)
{
    *(enum berth_code *)context = code;
}

/* The next part of the input, as memory of its own size. */
static struct berth_store_bytes cut(const uint8_t **data, size_t *size)
{
    size_t length = *size == 0 ? 0 : **data;
    uint8_t *bytes;

    if (*size > 0)
        (*data)++, (*size)--;
    length = length < *size ? length : *size;
    bytes = malloc(length + 1);
    if (bytes == NULL)
        abort();
    memcpy(bytes, *data, length);
    bytes = realloc(bytes, length > 0 ? length : 1);
    *data += length;
    *size -= length;
    return (struct berth_store_bytes){bytes, length};
}

static void update(struct containers_service *service, struct berth_store_bytes asked,
                   const char *const *paths, size_t path_count)
{
    enum berth_code code = BERTH_OK;
    struct berth_error err = {""};

    if (containers_update(service, "default", asked, paths, path_count, on_done, &code, &err) != BERTH_OK)
        return;
    code = the_store.update->change(the_store.update, NULL, &err);
    if (code == BERTH_OK)
        code = the_store.update->change(the_store.update, NULL, &err);
    the_store.update->done(the_store.update, code, err.message);
}

static void look_for(struct berth_store_bytes value)
{
    static const char *const filters[] = {"labels.a==b,id!=x,image~=a", "runtime.name==runc,labels.\"a.b/c\"",
                                          "labels.x~=y"};
    struct search search = {.filter = NULL};
    struct berth_error err;
    bool matches;

    if (search_init(&search, filters, 3, &err) != BERTH_OK)
        abort();
    search_match(&search, value, &matches, &err);
    search_finish(&search);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct containers_service service = {.store = &store, .exchange = &exchange};
    struct berth_store_bytes stored = cut(&data, &size);
    struct berth_store_bytes asked = cut(&data, &size);
    char *mask = strndup((const char *)data, size);
    const char *paths[8];
    size_t count = 0;

    if (mask == NULL)
        abort();
    for (char *path = strtok(mask, "\n"); path != NULL && count < 8; path = strtok(NULL, "\n"))
        paths[count++] = path;
    the_store.value = stored;
    update(&service, asked, paths, count);
    look_for(stored);
    look_for(asked);
    berth_wire_finish(&the_store.written);
    free(mask);
    free((void *)(uintptr_t)stored.data);
    free((void *)(uintptr_t)asked.data);
    return 0;
}
