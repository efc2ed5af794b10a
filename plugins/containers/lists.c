/* SPDX-License-Identifier: Apache-2.0 */
/* Many containers at once: List in one message, ListStream in one each, as fast as the caller reads. */
#include "lists.h"

#include <stdlib.h>
#include <string.h>

#include <berth/namespace.h>
#include <berth/wire.h>

/* A refusal of filters in containerd's form: the sentence, then the class of the error once more. */
static void refuse_list(struct berth_call *call, enum berth_code code, const struct berth_error *err)
{
    char sentence[BERTH_ERROR_MAX + 32];

    snprintf(sentence, sizeof(sentence), "%s%s", err->message,
             strncmp(err->message, "filters: ", 9) == 0 ? ": invalid argument" : "");
    berth_call_finish(call, code, sentence);
}

struct list {
    struct berth_wire_buffer reply;
    size_t count;
    size_t max_bytes;
    bool is_too_long;
};

static bool append_next(void *context, const struct berth_store_entry *container)
{
    struct list *list = context;

    list->is_too_long =
        list->reply.length + berth_wire_size_of_bytes(1, container->value.length) > list->max_bytes;
    if (list->is_too_long)
        return false;
    berth_wire_put_bytes(&list->reply, 1, container->value.data, container->value.length);
    list->count++;
    return !list->reply.failed;
}

static void reply_with_list(struct berth_call *call, const struct list *list)
{
    char sentence[256];

    if (list->is_too_long) {
        snprintf(
            sentence, sizeof(sentence),
            "a list of more than %zu containers exceeds max_list_bytes (%zu): narrow the filters, or use "
            "ListStream, which sends each in a message of its own",
            list->count, list->max_bytes);
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, sentence);
    } else if (list->reply.failed) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the reply");
    } else {
        berth_call_reply(call, list->reply.bytes, list->reply.length);
    }
}

void list_all(struct berth_call *call,
              const Containerd__Services__Containers__V1__ListContainersRequest *request)
{
    const struct containers *containers = call->instance;
    struct berth_containers_query query = {
        .size = sizeof(query),
        .filters = (const char *const *)request->filters,
        .filter_count = request->n_filters,
    };
    struct list found = {.max_bytes = containers->max_list_bytes};
    struct berth_error err;
    enum berth_code code = berth_call_namespace(call, &query.namespace_name, &err);

    if (code == BERTH_OK)
        code = containers->service->list(containers->instance, NULL, &query, append_next, &found, &err);
    if (code == BERTH_OK)
        reply_with_list(call, &found);
    else
        refuse_list(call, code, &err);
    berth_wire_finish(&found.reply);
}

/* A caller of ListStream holds its filters and the last id that it was sent, however slowly it reads. */
struct stream {
    struct berth_call *call;
    size_t filter_count;
    char **filters;
    char last[BERTH_IDENTIFIER_MAX + 1];
    bool is_full;
    enum berth_code code;
    /* What the store said of the first damaged container; the others are sent before the caller hears of it.
     */
    bool met_damage;
    char *damage;
    /* Only while messages are sent. */
    struct berth_wire_buffer message;
};

static void destroy_stream(struct stream *stream)
{
    for (size_t i = 0; stream->filters != NULL && i < stream->filter_count; i++)
        free(stream->filters[i]);
    free(stream->filters);
    free(stream->damage);
    free(stream);
}

/* Of empty filters one is enough: what is kept is bounded by what filters may take. */
static size_t count_filters(const Containerd__Services__Containers__V1__ListContainersRequest *request)
{
    size_t count = 0;

    for (size_t i = 0; i < request->n_filters; i++)
        count += *request->filters[i] != '\0';
    return count + (count < request->n_filters);
}

static bool keep_filters(struct stream *stream,
                         const Containerd__Services__Containers__V1__ListContainersRequest *request)
{
    size_t count = count_filters(request);
    bool has_empty = false;

    stream->filters = calloc(count + 1, sizeof(*stream->filters));
    if (stream->filters == NULL)
        return false;
    for (size_t i = 0; i < request->n_filters; i++) {
        bool is_empty = *request->filters[i] == '\0';

        if (is_empty && has_empty)
            continue;
        has_empty = has_empty || is_empty;
        stream->filters[stream->filter_count] = strdup(request->filters[i]);
        if (stream->filters[stream->filter_count++] == NULL)
            return false;
    }
    return true;
}

static struct stream *make_stream(struct berth_call *call,
                                  const Containerd__Services__Containers__V1__ListContainersRequest *request)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL)
        return NULL;
    stream->call = call;
    if (keep_filters(stream, request))
        return stream;
    destroy_stream(stream);
    return NULL;
}

static bool send_next(void *context, const struct berth_store_entry *container)
{
    struct stream *stream = context;

    stream->is_full = !berth_call_can_send(stream->call);
    if (stream->is_full)
        return false;
    stream->message.length = 0;
    berth_wire_put_bytes(&stream->message, 1, container->value.data, container->value.length);
    stream->code = stream->message.failed
                       ? BERTH_RESOURCE_EXHAUSTED
                       : berth_call_send(stream->call, stream->message.bytes, stream->message.length);
    snprintf(stream->last, sizeof(stream->last), "%.*s", (int)container->key.length,
             (const char *)container->key.data);
    return stream->code == BERTH_OK;
}

static void keep_damage(struct stream *stream, const struct berth_error *err)
{
    if (stream->met_damage)
        return;
    stream->met_damage = true;
    stream->damage = strdup(err->message);
}

static void end_stream(struct stream *stream)
{
    if (stream->met_damage)
        berth_call_finish(stream->call, BERTH_DATA_LOSS,
                          stream->damage != NULL ? stream->damage : "a container is damaged in the store");
    else
        berth_call_finish(stream->call, BERTH_OK, NULL);
}

/* Sends for as long as the caller keeps up; on_writable goes on where it was left, in a new snapshot. */
void stream_go_on(struct berth_call *call)
{
    const struct containers *containers = call->instance;
    struct stream *stream = call->state;
    struct berth_containers_query query = {
        .size = sizeof(query),
        .filters = (const char *const *)stream->filters,
        .filter_count = stream->filter_count,
        .after = berth_store_text(stream->last),
    };
    struct berth_error err;
    enum berth_code code = berth_call_namespace(call, &query.namespace_name, &err);

    stream->is_full = false;
    if (code == BERTH_OK)
        code = containers->service->list(containers->instance, NULL, &query, send_next, stream, &err);
    berth_wire_finish(&stream->message);
    if (code == BERTH_DATA_LOSS)
        keep_damage(stream, &err);
    if (code != BERTH_OK && code != BERTH_DATA_LOSS)
        refuse_list(call, code, &err);
    else if (stream->code != BERTH_OK)
        berth_call_finish_sent(call, stream->code);
    else if (!stream->is_full)
        end_stream(stream);
}

void stream_all(struct berth_call *call,
                const Containerd__Services__Containers__V1__ListContainersRequest *request)
{
    struct stream *stream = make_stream(call, request);

    call->state = stream;
    if (stream == NULL)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the list of containers");
    else
        stream_go_on(call);
}

void stream_end(struct berth_call *call, enum berth_code code)
{
    if (call->state != NULL)
        destroy_stream(call->state);
}
