/* SPDX-License-Identifier: Apache-2.0 */
/* What one plugin is set to, and where, for clients. */
#include "introspection-plugin.h"

#include "introspection.h"

#define SETTINGS_MAX 1000
#define BYTES_MAX (1024 * 1024)

struct visit {
    struct berth_wire_buffer replies;
    size_t count;
    bool has_more;
};

static bool append(void *context, const struct berth_setting *setting)
{
    struct visit *visit = context;
    Berth__Inspect__V1__Setting message = BERTH__INSPECT__V1__SETTING__INIT;

    message.path = introspection_text(setting->path);
    message.value = introspection_text(setting->value);
    message.where = introspection_text(setting->where);
    message.was = introspection_text(setting->was);
    message.secret = setting->is_secret;
    message.cut = setting->is_cut;
    visit->has_more = visit->count++ == SETTINGS_MAX ||
                      visit->replies.length + protobuf_c_message_get_packed_size(&message.base) > BYTES_MAX;
    return !visit->has_more && introspection_append(&visit->replies, &message.base);
}

void introspection_settings(struct berth_call *call, const Berth__Inspect__V1__SettingsRequest *request)
{
    const struct introspection *introspection = call->instance;
    const struct berth_inspect *inspect = introspection->host->inspect;
    struct visit visit = {.count = 0};
    struct berth_error err;
    enum berth_code code;

    if (!BERTH_HAS(inspect, settings)) {
        introspection_refuse_unknown(call);
        return;
    }
    code = inspect->settings(inspect, request->uri, append, &visit, &err);
    if (visit.has_more)
        berth_wire_put_number(&visit.replies, 2, 1);
    if (code != BERTH_OK)
        berth_call_finish(call, code, err.message);
    else if (visit.replies.failed)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the list of settings");
    else
        berth_call_answer_wire(call, &visit.replies, BERTH_OK, NULL);
    berth_wire_finish(&visit.replies);
}
