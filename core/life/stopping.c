/* SPDX-License-Identifier: Apache-2.0 */
/* The last part of a life: drain, close. */
#include "stopping.h"

#include <core/base/log.h>

/* One that has a serve and never came to it has no work to end. */
void stopping_drain(struct life *life)
{
    bool never_served = BERTH_HAS(life->table, serve) && life->plugin->state != BERTH_STATE_SERVING;

    if (!life_is_well(life) || never_served || !BERTH_HAS(life->table, drain))
        return;
    registry_move(life->lifecycle->registry, life->plugin, BERTH_STATE_DRAINING);
    step_begin(life, BERTH_STEP_DRAIN);
}

static void warn_of_end(const struct life *life, enum berth_step step, const struct step_outcome *outcome,
                        const char *consequence)
{
    if (outcome->code == BERTH_OK || (int)outcome->code == BERTH_SKIP)
        return;
    if (outcome->is_timeout)
        log_plugin(BERTH_LOG_WARN, life_uri(life), "%s; %s", outcome->message, consequence);
    else
        log_plugin(BERTH_LOG_WARN, life_uri(life), "%s failed: %s%s%s; %s", step_name(step),
                   berth_code_name(outcome->code), outcome->message[0] != '\0' ? ": " : "", outcome->message,
                   consequence);
}

void stopping_on_drain_ended(struct life *life, const struct step_outcome *outcome)
{
    warn_of_end(life, BERTH_STEP_DRAIN, outcome, "closing anyway");
}

/* Calls first, whose handlers use the instance; then the hooks, which the instance owns. */
static void cut_off(struct life *life)
{
    struct router *router = life->lifecycle->router;

    if (life->plugin->state != BERTH_STATE_FAILED && life->plugin->state != BERTH_STATE_TIMED_OUT)
        registry_move(life->lifecycle->registry, life->plugin, BERTH_STATE_STOPPED);
    if (router == NULL)
        return;
    life_close_routes(life);
    if (life->plugin->entry->plugin->service_count > 0)
        router_end_calls(router, life->plugin->instance, "the daemon is shutting down");
    router_remove_interceptors(router, &life->host);
}

bool stopping_close(struct life *life)
{
    if (!life->has_instance)
        return false;
    life->has_instance = false;
    life->host.takes_holds = false;
    cut_off(life);
    step_begin(life, BERTH_STEP_CLOSE);
    return true;
}

void stopping_on_close_ended(struct life *life, const struct step_outcome *outcome)
{
    warn_of_end(life, BERTH_STEP_CLOSE, outcome, "going on without it");
    life->plugin->instance = NULL;
}
