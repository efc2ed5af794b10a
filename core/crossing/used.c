/* SPDX-License-Identifier: Apache-2.0 */
/* Hands a worker the interfaces of other plugins that it may use, as numbers. */
#include "used.h"

#include <stdlib.h>
#include <string.h>

#include <berth/types/deprecations.h>
#include <berth/types/events.h>
#include <berth/types/metrics.h>
#include <berth/types/opt.h>
#include <berth/types/store.h>
#include <berth/types/tracing.h>

#include <core/wire/reads.h>
#include <sdk/base/memory.h>

#include "asked.h"
#include "kinds.h"

/* Those that cross, by what names them in every daemon. */
static const struct {
    const char *uri;
    enum ask_interface kind;
} crossing_interfaces[] = {
    {BERTH_OPT_URI, ASK_INTERFACE_OPT},           {BERTH_DEPRECATIONS_URI, ASK_INTERFACE_DEPRECATIONS},
    {BERTH_EXCHANGE_URI, ASK_INTERFACE_EXCHANGE}, {BERTH_METRICS_URI, ASK_INTERFACE_METRICS},
    {BERTH_TRACING_URI, ASK_INTERFACE_TRACING},
};

/* Of every plugin of that type. */
#define STORE_PREFIX BERTH_STORE_TYPE "."

/* The host hands an isolated plugin its own description of such an interface; see core/life/references.c. */
static const struct berth_remote *find_remote(const struct crossing *crossing, const void *interface)
{
    const struct berth_remote *const *remote = crossing->remote_list;

    while (remote != NULL && *remote != NULL && *remote != interface)
        remote++;
    return remote != NULL ? *remote : NULL;
}

static bool crosses(const struct crossing *crossing, const struct berth_ref *ref,
                    enum ask_interface *ret_kind)
{
    *ret_kind = ASK_INTERFACE_NONE;
    if (ref->interface == NULL)
        return true;
    if (find_remote(crossing, ref->interface) != NULL) {
        *ret_kind = ASK_INTERFACE_REMOTE;
        return true;
    }
    for (size_t i = 0; i < sizeof(crossing_interfaces) / sizeof(crossing_interfaces[0]); i++)
        if (strcmp(crossing_interfaces[i].uri, ref->uri) == 0) {
            *ret_kind = crossing_interfaces[i].kind;
            return true;
        }
    if (strncmp(ref->uri, STORE_PREFIX, strlen(STORE_PREFIX)) != 0)
        return false;
    *ret_kind = ASK_INTERFACE_STORE;
    return true;
}

static const char *find_variable(const char *const *environment, const char *name)
{
    for (size_t i = 0; environment != NULL && environment[i] != NULL; i++)
        if (strncmp(environment[i], name, strlen(name)) == 0)
            return environment[i];
    return "";
}

/* Of the environment only what opt adds: the rest of the daemon's is not the worker's to know. */
static void put_opt(struct packet_writer *answer, const struct berth_ref *ref)
{
    const struct berth_opt *opt = ref->interface;
    const char *const *environment = opt->environment(ref->instance);

    packet_put_text(answer, opt->bin(ref->instance));
    packet_put_text(answer, opt->lib(ref->instance));
    packet_put_text(answer, find_variable(environment, "PATH="));
    packet_put_text(answer, find_variable(environment, "LD_LIBRARY_PATH="));
}

static void put_store(struct packet_writer *answer, const struct berth_ref *ref)
{
    const struct berth_store *store = ref->interface;
    const struct berth_store_limits *limits = store->limits(ref->instance);
    bool is_smaller = limits->max_change < READS_CHANGE_MAX;

    packet_put_u64(answer, limits->max_value < READS_CHANGE_MAX ? limits->max_value : READS_CHANGE_MAX);
    packet_put_u64(answer, limits->max_writes);
    packet_put_u64(answer, is_smaller ? limits->max_change : READS_CHANGE_MAX);
}

/* The number of this interface, which it gets the first time. */
static bool number_of(struct used *used, const struct berth_ref *ref, enum ask_interface kind,
                      uint32_t *ret_number)
{
    size_t number = 0;

    while (number < used->ref_count &&
           (strcmp(used->refs[number].uri, ref->uri) != 0 || used->refs[number].instance != ref->instance ||
            used->refs[number].interface != ref->interface))
        number++;
    if (number == ASK_REFS_MAX)
        return false;
    if (number == used->ref_count) {
        used->refs[number].kind = kind;
        used->refs[number].uri = memory_copy(ref->uri);
        used->refs[number].interface = ref->interface;
        used->refs[number].instance = ref->instance;
        used->ref_count++;
    }
    *ret_number = (uint32_t)number;
    return true;
}

static enum berth_code put_ref(struct crossing *crossing, struct packet_writer *answer,
                               const struct berth_ref *ref, struct berth_error *err)
{
    enum ask_interface kind;
    uint32_t number;

    if (!crosses(crossing, ref, &kind))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s is isolated and cannot use the interface of %s", crossing->plugin->uri,
                               ref->uri);
    if (!number_of(&crossing->used, ref, kind, &number))
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "%s is isolated and uses the interfaces of more than %u plugins",
                               crossing->plugin->uri, ASK_REFS_MAX);
    packet_put_u32(answer, number);
    packet_put_u8(answer, (uint8_t)kind);
    packet_put_text(answer, ref->uri);
    packet_put_u64(answer, ref->generation);
    if (kind == ASK_INTERFACE_OPT)
        put_opt(answer, ref);
    else if (kind == ASK_INTERFACE_STORE)
        put_store(answer, ref);
    else if (kind == ASK_INTERFACE_REMOTE)
        packet_put_text(answer, find_remote(crossing, ref->interface)->interface);
    return BERTH_OK;
}

static enum berth_code answer_one(struct crossing *crossing, struct packet_reader *reader, bool by_type,
                                  struct packet_writer *answer, struct berth_error *err)
{
    const char *name = packet_get_text(reader);
    struct berth_ref ref;
    enum berth_code code;

    if (reader->is_bad)
        return BERTH_INVALID_ARGUMENT;
    code = by_type ? berth_get_single(crossing->host, name, &ref, err)
                   : berth_get(crossing->host, name, &ref, err);
    if (code != BERTH_OK)
        return code;
    packet_put_u32(answer, 1);
    return put_ref(crossing, answer, &ref, err);
}

enum berth_code asked_get(struct crossing *crossing, struct packet_reader *reader,
                          struct packet_writer *answer, struct berth_error *err)
{
    return answer_one(crossing, reader, false, answer, err);
}

enum berth_code asked_get_single(struct crossing *crossing, struct packet_reader *reader,
                                 struct packet_writer *answer, struct berth_error *err)
{
    return answer_one(crossing, reader, true, answer, err);
}

struct visit {
    struct crossing *crossing;
    struct packet_writer refs;
    uint32_t count;
};

/* Interfaces that do not cross are left out: the plan has warned of those that it can see. */
static bool on_ref(void *context, const struct berth_ref *ref)
{
    struct visit *visit = context;
    struct berth_error error;

    if (put_ref(visit->crossing, &visit->refs, ref, &error) == BERTH_OK)
        visit->count++;
    return visit->count < ASK_REFS_MAX;
}

enum berth_code asked_each(struct crossing *crossing, struct packet_reader *reader,
                           struct packet_writer *answer, struct berth_error *err)
{
    const char *type = packet_get_text(reader);
    struct visit visit = {.crossing = crossing};
    enum berth_code code = BERTH_INVALID_ARGUMENT;

    if (!reader->is_bad)
        code = berth_each(crossing->host, type, on_ref, &visit, err);
    packet_put_u32(answer, visit.count);
    packet_put_raw(answer, visit.refs.bytes, visit.refs.length);
    answer->is_bad |= visit.refs.is_bad;
    packet_writer_finish(&visit.refs);
    return code;
}

const void *used_find(struct crossing *crossing, uint32_t number, enum ask_interface kind,
                      struct packet_reader *reader, void **ret_instance)
{
    struct used *used = &crossing->used;

    if (number >= used->ref_count || used->refs[number].kind != kind)
        reader->is_bad = true;
    if (reader->is_bad)
        return NULL;
    *ret_instance = used->refs[number].instance;
    return used->refs[number].interface;
}

void used_end(struct crossing *crossing)
{
    struct used *used = &crossing->used;

    for (size_t i = 0; i < used->ref_count; i++)
        free(used->refs[i].uri);
    used->ref_count = 0;
    used->worker++;
    used->answered_at = 0;
    used->events_waiting = 0;
}
