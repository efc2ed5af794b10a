/* SPDX-License-Identifier: Apache-2.0 */
/* Lets HTTP/2 pull messages at the pace of the peer's windows, and tells the sender when to wait. */
#include "outflow.h"

static struct connection *connection_of(const struct outflow *outflow)
{
    return outflow->http2 != NULL ? outflow->http2->connection : outflow->connection;
}

static void note_room(struct outflow *outflow)
{
    if (!outflow->is_awaited || outflow->outbox.length >= OUTFLOW_ROOMY_BYTES)
        return;
    outflow->is_awaited = false;
    outflow->on_room(outflow);
}

void outflow_take(struct outflow *outflow, size_t length,
                  void (*on_run)(void *context, struct message_block *block, const unsigned char *bytes,
                                 size_t length),
                  void *context)
{
    outbox_take(&outflow->outbox, length, on_run, context);
    budget_give(&connection_of(outflow)->queued, length);
    note_room(outflow);
}

static ssize_t on_read(nghttp2_session *session, int32_t stream_id, uint8_t *buffer, size_t length,
                       uint32_t *ret_flags, nghttp2_data_source *source, void *user_data)
{
    struct outflow *outflow = source->ptr;

    *ret_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (length >= outflow->outbox.length && outflow->is_ended) {
        *ret_flags |= NGHTTP2_DATA_FLAG_EOF;
        if (outflow->on_last != NULL) {
            *ret_flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            outflow->on_last(outflow);
        }
        return (ssize_t)outflow->outbox.length;
    }
    if (outflow->outbox.length == 0) {
        outflow->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)(length < outflow->outbox.length ? length : outflow->outbox.length);
}

static void on_run(void *context, struct message_block *block, const unsigned char *bytes, size_t length)
{
    batch_add_run(context, block, bytes, length);
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header, size_t length,
                        nghttp2_data_source *source, void *user_data)
{
    struct http2 *http2 = user_data;
    struct outflow *outflow = source->ptr;

    if (!batch_has_room(http2->filling))
        return NGHTTP2_ERR_WOULDBLOCK;
    if (length > outflow->outbox.length)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    batch_add_bytes(http2->filling, header, 9);
    outflow_take(outflow, length, on_run, http2->filling);
    return 0;
}

nghttp2_data_provider outflow_provider(struct outflow *outflow)
{
    return (nghttp2_data_provider){.source = {.ptr = outflow}, .read_callback = on_read};
}

void outflow_set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
}

static struct message_block *make_block(const struct outflow *outflow, const void *message, uint32_t length)
{
    struct message_block *block = NULL;

    if (outflow->compresses && outflow->coding != CODING_IDENTITY)
        block =
            message_block_create_compressed(outflow->pool, outflow->codec, outflow->coding, message, length);
    return block != NULL ? block : message_block_create(outflow->pool, message, length);
}

static bool is_roomy(const struct outflow *outflow, uint64_t max_queued)
{
    const struct connection *connection = connection_of(outflow);

    return outflow->outbox.length < OUTFLOW_ROOMY_BYTES &&
           (connection == NULL || outflow->outbox.length == 0 || connection->queued.used < max_queued / 2);
}

enum outflow_result outflow_send(struct outflow *outflow, const void *message, size_t length,
                                 uint64_t max_message, uint64_t max_queued)
{
    struct connection *connection = connection_of(outflow);
    struct message_block *block;

    if (length > max_message || length > UINT32_MAX)
        return OUTFLOW_TOO_LARGE;
    if (connection != NULL && !is_roomy(outflow, max_queued) && connection->queued.used + length > max_queued)
        return OUTFLOW_QUEUE_FULL;
    block = make_block(outflow, message, (uint32_t)length);
    if (block == NULL)
        return OUTFLOW_NO_MEMORY;
    if (connection != NULL && !budget_take(&connection->queued, block->length)) {
        message_block_unref(block);
        return OUTFLOW_NO_BUDGET;
    }
    outbox_add(&outflow->outbox, block);
    return OUTFLOW_SENT;
}

bool outflow_can_send(struct outflow *outflow, uint64_t max_queued)
{
    bool can_send = is_roomy(outflow, max_queued);

    if (!can_send)
        outflow->is_awaited = true;
    return can_send;
}

void outflow_wake(struct outflow *outflow, int32_t stream_id)
{
    if (!outflow->is_deferred)
        return;
    outflow->is_deferred = false;
    nghttp2_session_resume_data(outflow->http2->session, stream_id);
}

void outflow_clear(struct outflow *outflow)
{
    struct connection *connection = connection_of(outflow);

    if (connection != NULL)
        budget_give(&connection->queued, outflow->outbox.length);
    outbox_clear(&outflow->outbox);
}
