/* SPDX-License-Identifier: Apache-2.0 */
/* What every phase of a life may do to it: open and close its routes, let it fall, settle it. */
#include "life.h"

#include <string.h>

#include <core/base/log.h>
#include "step.h"

void life_wake(struct lifecycle *lifecycle)
{
    if (lifecycle->phase != LIFECYCLE_CREATED && lifecycle->phase != LIFECYCLE_STOPPED)
        uv_idle_start(&lifecycle->turn, lifecycle->on_turn);
}

const char *life_uri(const struct life *life)
{
    return life->plugin->entry->plugin->uri;
}

bool life_is_well(const struct life *life)
{
    return life->has_instance && registry_plugin_is_ready(life->plugin);
}

static const struct berth_service *find_service(const struct berth_plugin *table, const char *name)
{
    if (!BERTH_HAS(table, services))
        return NULL;
    for (const struct berth_service *const *service = table->services; *service != NULL; service++)
        if (strcmp((*service)->name, name) == 0)
            return *service;
    return NULL;
}

bool life_open_routes(struct life *life)
{
    const struct manifest_plugin *manifest = life->plugin->entry->plugin;

    for (size_t i = 0; life->lifecycle->router != NULL && i < manifest->service_count; i++) {
        const char *name = manifest->services[i].name;
        const struct berth_service *service = find_service(life->table, name);
        struct berth_error error;
        enum berth_code code = BERTH_FAILED_PRECONDITION;

        if (service != NULL)
            code = router_set_live(life->lifecycle->router, name, service, life->plugin->instance,
                                   life->plugin->generation, &life->host, &error);
        else
            berth_error_set(&error, code, "its manifest names the service %s, which its module does not have",
                            name);
        if (code != BERTH_OK) {
            life_fall(life, BERTH_STATE_FAILED, code, error.message, PLAN_NONE);
            return false;
        }
    }
    return true;
}

void life_close_routes(struct life *life)
{
    const struct manifest_plugin *manifest = life->plugin->entry->plugin;
    char reason[BERTH_ERROR_MAX];

    if (life->lifecycle->router == NULL)
        return;
    snprintf(reason, sizeof(reason), "%s is %s%s%s", manifest->uri, berth_state_name(life->plugin->state),
             life->plugin->reason != NULL ? ": " : "",
             life->plugin->reason != NULL ? life->plugin->reason : "");
    for (size_t i = 0; i < manifest->service_count; i++)
        router_set_gone(life->lifecycle->router, manifest->services[i].name, BERTH_UNAVAILABLE, reason);
}

static void show_providers(struct life *life)
{
    verdicts_set(life->lifecycle->verdicts, life->plugin->index, life->plugin->state, life->plugin->reason,
                 life->plugin->cause);
}

/* A skip is an answer, not a failure; who has fallen with another only repeats what that one's line has said.
 */
static enum berth_log_level level_of(enum berth_state state, size_t cause)
{
    if (cause != PLAN_NONE)
        return BERTH_LOG_DEBUG;
    if (state == BERTH_STATE_SKIPPED)
        return BERTH_LOG_INFO;
    return state == BERTH_STATE_BLOCKED ? BERTH_LOG_WARN : BERTH_LOG_ERROR;
}

void life_fall(struct life *life, enum berth_state state, enum berth_code code, const char *reason,
               size_t cause)
{
    registry_blame(life->lifecycle->registry, life->plugin, state, code, reason, cause);
    show_providers(life);
    life_close_routes(life);
    if ((int)code == BERTH_SKIP || state == BERTH_STATE_BLOCKED)
        log_plugin(level_of(state, cause), life_uri(life), "%s: %s", berth_state_name(state), reason);
    else
        log_plugin(level_of(state, cause), life_uri(life), "%s: %s: %s", berth_state_name(state),
                   berth_code_name(code), reason);
}

void life_fall_in(struct life *life, const char *step, const struct step_outcome *outcome)
{
    char unsaid[64];

    snprintf(unsaid, sizeof(unsaid), "%s gave no reason", step);
    life_fall(life,
              outcome->is_timeout                ? BERTH_STATE_TIMED_OUT
              : (int)outcome->code == BERTH_SKIP ? BERTH_STATE_SKIPPED
                                                 : BERTH_STATE_FAILED,
              outcome->code, outcome->message[0] != '\0' ? outcome->message : unsaid, PLAN_NONE);
}

void life_settle(struct life *life)
{
    show_providers(life);
    turns_end(life->lifecycle->turns, life->plugin->index);
    life_wake(life->lifecycle);
}
