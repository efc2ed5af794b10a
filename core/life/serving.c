/* SPDX-License-Identifier: Apache-2.0 */
/* The second part of a life: serve, readiness, and a failure in the middle of it. */
#include "serving.h"

#include <string.h>

#include <config/units.h>

#include <core/base/log.h>

void serving_begin(struct life *life)
{
    if (life->plugin->state == BERTH_STATE_READY && BERTH_HAS(life->table, serve))
        step_begin(life, BERTH_STEP_SERVE);
    else
        life_settle(life);
}

void serving_on_serve_ended(struct life *life, const struct step_outcome *outcome)
{
    life->host.takes_holds = false;
    if (life->plugin->state == BERTH_STATE_READY) {
        if (outcome->code == BERTH_OK)
            registry_move(life->lifecycle->registry, life->plugin, BERTH_STATE_SERVING);
        else if ((int)outcome->code == BERTH_SKIP)
            log_plugin(BERTH_LOG_INFO, life_uri(life), "does not serve: %s", outcome->message);
        else
            life_fall_in(life, "serve", outcome);
    }
    life_settle(life);
}

static bool requires(const struct lifecycle *lifecycle, size_t entry, size_t provider)
{
    const struct plan_entry *dependent = &lifecycle->plan->entries[entry];
    const char *type = lifecycle->plan->entries[provider].plugin->type;

    for (size_t i = 0; i < dependent->requirement_count; i++) {
        const struct plan_requirement *requirement = &dependent->requirements[i];

        if (requirement->binding &&
            ((requirement->target == PLAN_TARGET_PLUGIN && requirement->index == provider) ||
             (requirement->target == PLAN_TARGET_TYPE && strcmp(requirement->name, type) == 0)))
            return true;
    }
    return false;
}

static void warn_of_dependents(const struct life *failed)
{
    const struct lifecycle *lifecycle = failed->lifecycle;
    struct log_names names = {0};

    for (size_t i = 0; i < lifecycle->plan->run_count; i++)
        if (i != failed->plugin->index && life_is_well(&lifecycle->lives[i]) &&
            requires(lifecycle, i, failed->plugin->index))
            log_names_add(&names, "%s", life_uri(&lifecycle->lives[i]));
    if (names.count > 0)
        log_line(BERTH_LOG_WARN, "still running although required plugin %s failed: %s", life_uri(failed),
                 log_names_text(&names));
}

void serving_on_fail(struct life *life, enum berth_code code, const char *message)
{
    struct step_outcome outcome = {.code = step_sane_code(code), .message = message != NULL ? message : ""};

    if (outcome.code == BERTH_OK || (int)outcome.code == BERTH_SKIP)
        outcome.code = BERTH_UNKNOWN;
    if (life->plugin->state != BERTH_STATE_READY && life->plugin->state != BERTH_STATE_SERVING) {
        log_plugin(BERTH_LOG_WARN, life_uri(life), "says that it failed while it is %s: ignored: %s",
                   berth_state_name(life->plugin->state), outcome.message);
        return;
    }
    life->host.takes_holds = false;
    life_fall_in(life, "it", &outcome);
    warn_of_dependents(life);
    life_wake(life->lifecycle);
}

/* In whole milliseconds. */
static const char *time_since(uint64_t start_ns, char *text)
{
    uint64_t took = uv_hrtime() - start_ns;

    config_format_duration((int64_t)(took - took % 1000000), text);
    return text;
}

static bool may_report(const struct life *life)
{
    return life->plugin->state == BERTH_STATE_STARTING || registry_plugin_is_ready(life->plugin);
}

void serving_on_report(struct life *life, enum berth_code code, const char *message)
{
    enum berth_code condition = step_sane_code(code);
    const char *reason = message != NULL && message[0] != '\0' ? message : "it gave no reason";
    char time[CONFIG_UNITS_MAX];

    if ((int)condition == BERTH_SKIP)
        condition = BERTH_UNKNOWN;
    if (!may_report(life)) {
        log_plugin(BERTH_LOG_DEBUG, life_uri(life), "reports %s while it is %s: ignored",
                   berth_code_name(condition), berth_state_name(life->plugin->state));
        return;
    }
    if (!registry_set_condition(life->lifecycle->registry, life->plugin, condition, reason))
        return;
    if (condition == BERTH_OK)
        log_plugin(BERTH_LOG_INFO, life_uri(life), "recovered after %s",
                   time_since(life->plugin->condition_start_ns, time));
    else
        log_plugin(BERTH_LOG_WARN, life_uri(life), "degraded: %s: %s", berth_code_name(condition), reason);
}

void serving_on_released(struct life *life)
{
    if (life->plugin->readiness.count == 0 && life_is_well(life))
        life->plugin->times.ready_at_ns = registry_since_start(life->lifecycle->registry);
    registry_note_change(life->lifecycle->registry);
    life_wake(life->lifecycle);
}

bool serving_is_all_ready(const struct lifecycle *lifecycle)
{
    for (size_t i = 0; i < lifecycle->plan->run_count; i++)
        if (lifecycle->lives[i].plugin->readiness.count > 0)
            return false;
    return true;
}
