/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces of other plugins, as far as they reach this process: tables of this program whose functions ask
 * the daemon. Those of opt are copied.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sdk/base/memory.h>

#include "table.h"

static const char *get_bin(void *instance)
{
    const struct used_interface *used = instance;

    return used->bin;
}

static const char *get_lib(void *instance)
{
    const struct used_interface *used = instance;

    return used->lib;
}

static const char *const *get_environment(void *instance)
{
    const struct used_interface *used = instance;

    return (const char *const *)used->environment;
}

const struct berth_opt used_opt = {
    .size = sizeof(used_opt),
    .bin = get_bin,
    .lib = get_lib,
    .environment = get_environment,
};

static const void *table_of_kind(enum ask_interface kind)
{
    switch (kind) {
    case ASK_INTERFACE_NONE:
        return NULL;
    case ASK_INTERFACE_OPT:
        return &used_opt;
    case ASK_INTERFACE_DEPRECATIONS:
        return &used_deprecations;
    case ASK_INTERFACE_EXCHANGE:
        return &used_exchange;
    case ASK_INTERFACE_STORE:
        return &used_store;
    case ASK_INTERFACE_METRICS:
        return &used_metrics;
    case ASK_INTERFACE_TRACING:
        return &used_tracing;
    case ASK_INTERFACE_REMOTE:
        break;
    }
    return NULL;
}

static bool is_variable(const char *variable, const char *name)
{
    return strncmp(variable, name, strlen(name)) == 0;
}

/* This process's own, which is what the daemon passed on, with the variables that opt changes. */
static char **make_environment(const char *path, const char *library_path)
{
    size_t count = 0, kept = 0;
    char **environment;

    while (environ[count] != NULL)
        count++;
    environment = memory_allocate(count + 3, sizeof(*environment));
    environment[kept++] = memory_copy(path);
    environment[kept++] = memory_copy(library_path);
    for (size_t i = 0; i < count; i++)
        if (!is_variable(environ[i], "PATH=") && !is_variable(environ[i], "LD_LIBRARY_PATH="))
            environment[kept++] = memory_copy(environ[i]);
    return environment;
}

static void read_opt(struct used_interface *used, struct packet_reader *reader, bool is_known)
{
    const char *bin = packet_get_text(reader), *lib = packet_get_text(reader);
    const char *path = packet_get_text(reader), *library_path = packet_get_text(reader);

    if (is_known)
        return;
    used->bin = memory_copy(bin);
    used->lib = memory_copy(lib);
    used->environment = make_environment(path, library_path);
}

static bool read_store(struct used_interface *used, struct packet_reader *reader, bool is_known)
{
    if (!is_known)
        used->instance = store_create(used, reader);
    else
        for (int i = 0; i < 3; i++)
            packet_get_u64(reader);
    return used->instance != NULL;
}

/* Each interface once, as long as the process lives. @return false if the answer cannot be read. */
static bool read_ref(struct inside *inside, struct packet_reader *reader, struct berth_ref *ret_ref)
{
    uint32_t number = packet_get_u32(reader);
    enum ask_interface kind = (enum ask_interface)packet_get_u8(reader);
    const char *uri = packet_get_text(reader);
    uint64_t generation = packet_get_u64(reader);
    struct used_interface *used;
    bool is_known;

    if (reader->is_bad || number >= ASK_REFS_MAX || kind > ASK_INTERFACE_LAST)
        return false;
    is_known = inside->used[number] != NULL;
    if (!is_known)
        inside->used[number] = memory_allocate(1, sizeof(*used));
    used = inside->used[number];
    if (is_known && used->kind != kind)
        return false;
    if (!is_known)
        *used = (struct used_interface){.inside = inside,
                                        .number = number,
                                        .kind = kind,
                                        .uri = memory_copy(uri),
                                        .generation = generation};
    if (!is_known)
        used->instance = kind != ASK_INTERFACE_NONE ? used : NULL;
    if (kind == ASK_INTERFACE_OPT)
        read_opt(used, reader, is_known);
    if (kind == ASK_INTERFACE_STORE && !read_store(used, reader, is_known))
        return false;
    if (kind == ASK_INTERFACE_REMOTE &&
        !remote_bind(inside, packet_get_text(reader), number, &used->stub, &used->instance))
        return false;
    *ret_ref =
        (struct berth_ref){.uri = used->uri,
                           .interface = kind == ASK_INTERFACE_REMOTE ? used->stub : table_of_kind(kind),
                           .instance = used->instance,
                           .generation = used->generation};
    return !reader->is_bad;
}

static enum berth_code get_one(struct inside *inside, enum ask_kind kind, const char *name,
                               struct berth_ref *ret_ref, struct berth_error *err)
{
    struct packet_reader answer;
    enum berth_code code;

    if (inside == NULL)
        return BERTH_FAILED_PRECONDITION;
    packet_put_text(table_begin_question(inside, kind), name);
    code = table_ask(inside, &answer, err);
    if (code != BERTH_OK)
        return code;
    if (packet_get_u32(&answer) == 1 && read_ref(inside, &answer, ret_ref))
        return BERTH_OK;
    return berth_error_set(err, BERTH_INTERNAL, "malformed answer from the daemon");
}

static enum berth_code host_get(const struct berth_host *table, const char *uri, struct berth_ref *ret_ref,
                                struct berth_error *err)
{
    return get_one(table_on_loop(table, "berth_get", err), ASK_GET, uri, ret_ref, err);
}

static enum berth_code host_get_single(const struct berth_host *table, const char *type,
                                       struct berth_ref *ret_ref, struct berth_error *err)
{
    return get_one(table_on_loop(table, "berth_get_single", err), ASK_GET_SINGLE, type, ret_ref, err);
}

static enum berth_code host_each(const struct berth_host *table, const char *type,
                                 bool (*on_ref)(void *context, const struct berth_ref *ref), void *context,
                                 struct berth_error *err)
{
    struct inside *inside = table_on_loop(table, "berth_each", err);
    struct berth_ref refs[ASK_REFS_MAX];
    struct packet_reader answer;
    uint32_t count = 0, wanted;
    enum berth_code code;

    if (inside == NULL)
        return BERTH_FAILED_PRECONDITION;
    packet_put_text(table_begin_question(inside, ASK_EACH), type);
    code = table_ask(inside, &answer, err);
    if (code != BERTH_OK)
        return code;
    /* All of them first: the visitor may ask for something else. */
    for (wanted = packet_get_u32(&answer); count < wanted && count < ASK_REFS_MAX; count++)
        if (!read_ref(inside, &answer, &refs[count]))
            return berth_error_set(err, BERTH_INTERNAL, "malformed answer from the daemon");
    for (uint32_t i = 0; i < count; i++)
        if (!on_ref(context, &refs[i]))
            break;
    return BERTH_OK;
}

void used_fill(struct berth_host *table)
{
    table->get = host_get;
    table->get_single = host_get_single;
    table->each = host_each;
}
