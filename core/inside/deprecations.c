/* SPDX-License-Identifier: Apache-2.0 */
/* Deprecations that the plugin emits. The list of all of them stays in the daemon. */
#include "table.h"

static enum berth_code emit(void *instance, const char *id, const char *message, struct berth_error *err)
{
    struct used_interface *used = instance;
    struct inside *inside = table_on_loop(&used->inside->table, "emit (deprecations)", err);
    struct packet_writer *writer;

    if (inside == NULL)
        return BERTH_FAILED_PRECONDITION;
    writer = table_begin_question(inside, ASK_EMIT);
    packet_put_u32(writer, used->number);
    packet_put_text(writer, id);
    packet_put_text(writer, message);
    return table_ask(inside, NULL, err);
}

static void each(void *instance,
                 bool (*on_deprecation)(void *context, const struct berth_deprecation *deprecation),
                 void *context)
{
    struct used_interface *used = instance;

    log_say(used->inside, BERTH_LOG_WARN, "an isolated plugin cannot list deprecations, only emit them");
}

const struct berth_deprecations used_deprecations = {
    .size = sizeof(used_deprecations),
    .emit = emit,
    .each = each,
};
