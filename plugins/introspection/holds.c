/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds what of one plugin, and what it holds, for clients. */
#include "introspection-plugin.h"

#include <string.h>

#include "introspection.h"

#define HOLDS_MAX 1000
#define BYTES_MAX (1024 * 1024)
#define SENTENCE_MAX 4096

struct visit {
    struct berth_wire_buffer replies;
    size_t count;
    bool has_more;
};

static bool append(void *context, const struct berth_hold_info *hold)
{
    struct visit *visit = context;
    Berth__Inspect__V1__Hold message = BERTH__INSPECT__V1__HOLD__INIT;

    message.holder = introspection_text(hold->holder);
    message.holder_generation = hold->holder_generation;
    message.provider = introspection_text(hold->provider);
    message.provider_generation = hold->provider_generation;
    message.what = introspection_text(hold->what);
    message.count = hold->count;
    message.unknown = hold->unknown;
    message.orphan = hold->orphan;
    visit->has_more = visit->count++ == HOLDS_MAX ||
                      visit->replies.length + protobuf_c_message_get_packed_size(&message.base) > BYTES_MAX;
    return !visit->has_more && introspection_append(&visit->replies, &message.base);
}

static enum berth_code append_sentence(const struct berth_inspect *inspect, const char *uri,
                                       struct berth_wire_buffer *replies, struct berth_error *err)
{
    char sentence[SENTENCE_MAX] = "";
    enum berth_code code = BERTH_HAS(inspect, explain_holds)
                               ? inspect->explain_holds(inspect, uri, sentence, sizeof(sentence), err)
                               : BERTH_OK;

    if (code == BERTH_OK)
        berth_wire_put_bytes(replies, 3, sentence, strlen(sentence));
    return code;
}

void introspection_holds(struct berth_call *call, const Berth__Inspect__V1__HoldsRequest *request)
{
    const struct introspection *introspection = call->instance;
    const struct berth_inspect *inspect = introspection->host->inspect;
    struct visit visit = {.count = 0};
    struct berth_error err;
    enum berth_code code;

    if (!BERTH_HAS(inspect, holds)) {
        introspection_refuse_unknown(call);
        return;
    }
    code = inspect->holds(inspect, request->uri, append, &visit, &err);
    if (visit.has_more)
        berth_wire_put_number(&visit.replies, 2, 1);
    if (code == BERTH_OK)
        code = append_sentence(inspect, request->uri, &visit.replies, &err);
    if (code != BERTH_OK)
        berth_call_finish(call, code, err.message);
    else if (visit.replies.failed)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the list of holds");
    else
        berth_call_answer_wire(call, &visit.replies, BERTH_OK, NULL);
    berth_wire_finish(&visit.replies);
}
