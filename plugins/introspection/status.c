/* SPDX-License-Identifier: Apache-2.0 */
/* One verdict on the daemon: is anything wrong, and whose fault is it? */
#include "introspection-plugin.h"

#include <stdlib.h>

#include "introspection.h"

typedef Berth__Inspect__V1__StatusResponse status_message;
typedef Berth__Inspect__V1__Problem problem_message;
typedef Berth__Inspect__V1__Resident resident_message;

/* The texts belong to the host and stay while the loop is not entered. */
struct report {
    status_message message;
    size_t capacity;
    bool failed;
};

static bool is_degraded(const struct berth_plugin_info *plugin)
{
    return BERTH_HAS(plugin, condition);
}

/* Failed, timed out, blocked, or kept from running for its crashes. */
static bool is_broken(const struct berth_plugin_info *plugin)
{
    return plugin->state != BERTH_STATE_REJECTED && plugin->code != BERTH_OK && plugin->code != BERTH_SKIP;
}

static char *copy_text(struct report *report, const char *text)
{
    char *copy = strdup(text != NULL ? text : "");

    report->failed = report->failed || copy == NULL;
    return copy;
}

static problem_message *add_problem(struct report *report)
{
    size_t count = report->message.n_problems + 1;
    problem_message **problems = reallocarray(report->message.problems, count, sizeof(*problems));
    problem_message *problem = malloc(sizeof(*problem));

    if (problems != NULL)
        report->message.problems = problems;
    if (problems == NULL || problem == NULL) {
        free(problem);
        report->failed = true;
        return NULL;
    }
    berth__inspect__v1__problem__init(problem);
    report->message.problems[report->message.n_problems++] = problem;
    return problem;
}

static void add_broken(struct report *report, const struct berth_plugin_info *plugin)
{
    problem_message *problem = add_problem(report);

    if (problem == NULL)
        return;
    problem->uri = copy_text(report, plugin->uri);
    problem->cause = copy_text(report, plugin->cause);
    problem->state = copy_text(report, is_broken(plugin) ? berth_state_name(plugin->state) : "degraded");
    problem->reason = copy_text(report, is_broken(plugin) ? plugin->reason : plugin->condition_reason);
}

static bool judge(void *context, const struct berth_plugin_info *plugin)
{
    struct report *report = context;

    if (plugin->uri == NULL || plugin->state == BERTH_STATE_REJECTED) {
        report->message.rejected++;
        return true;
    }
    report->message.plugins++;
    report->message.ready += plugin->state == BERTH_STATE_READY || plugin->state == BERTH_STATE_SERVING;
    report->message.idle += plugin->state == BERTH_STATE_IDLE;
    report->message.skipped += plugin->code == BERTH_SKIP;
    if (is_broken(plugin) || is_degraded(plugin))
        add_broken(report, plugin);
    return !report->failed;
}

static const char *verdict(const struct report *report, const struct berth_daemon_info *daemon)
{
    if (daemon->draining)
        return "shutting down";
    if (report->message.n_problems > 0)
        return "degraded";
    return daemon->ready ? "ready" : "starting";
}

/* The texts are the host's, and live until the message is sent. */
static void add_residents(struct report *report, const struct berth_daemon_info *daemon)
{
    size_t count = BERTH_HAS(daemon, resident_count) ? daemon->resident_count : 0;
    resident_message *residents;

    if (count == 0)
        return;
    report->message.residents = calloc(count, sizeof(*report->message.residents));
    residents = calloc(count, sizeof(*residents));
    if (report->message.residents == NULL || residents == NULL) {
        free(residents);
        report->failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        berth__inspect__v1__resident__init(&residents[i]);
        residents[i].module = introspection_text(daemon->residents[i].module);
        residents[i].path = introspection_text(daemon->residents[i].path);
        residents[i].reason = introspection_text(daemon->residents[i].reason);
        residents[i].bytes = daemon->residents[i].bytes;
        report->message.residents[i] = &residents[i];
    }
    report->message.n_residents = count;
}

static void finish(struct report *report)
{
    if (report->message.n_residents > 0)
        free(report->message.residents[0]);
    free(report->message.residents);
    for (size_t i = 0; i < report->message.n_problems; i++) {
        problem_message *problem = report->message.problems[i];

        free(problem->uri);
        free(problem->state);
        free(problem->reason);
        free(problem->cause);
        free(problem);
    }
    free(report->message.problems);
}

static uint64_t uptime_ns(const struct berth_inspect *inspect)
{
    struct berth_daemon_costs costs = {.size = sizeof(costs)};

    if (BERTH_HAS(inspect, daemon_costs))
        inspect->daemon_costs(inspect, &costs);
    return costs.uptime_ns;
}

void introspection_status(struct berth_call *call, const Berth__Inspect__V1__StatusRequest *request)
{
    const struct introspection *introspection = call->instance;
    const struct berth_inspect *inspect = introspection->host->inspect;
    struct report report = {.message = BERTH__INSPECT__V1__STATUS_RESPONSE__INIT};

    inspect->each(inspect, judge, &report);
    report.message.verdict = introspection_text(verdict(&report, inspect->daemon));
    report.message.version = introspection_text(inspect->daemon->version);
    report.message.pid = inspect->daemon->pid;
    report.message.uptime_ns = uptime_ns(inspect);
    if (BERTH_HAS(inspect->daemon, last_death_plugin))
        report.message.last_death_plugin = introspection_text(inspect->daemon->last_death_plugin);
    if (BERTH_HAS(inspect->daemon, last_death))
        report.message.last_death = introspection_text(inspect->daemon->last_death);
    add_residents(&report, inspect->daemon);
    if (report.failed)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the list of problems");
    else
        berth_call_reply_message(call, &report.message.base);
    finish(&report);
}
