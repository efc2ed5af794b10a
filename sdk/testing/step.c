/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a life: each begun in its turn, ended by its callback, its completion or its deadline. */
#include <stdlib.h>
#include <string.h>

#include "fake.h"

static const char *const step_names[STEP_COUNT] = {"init", "serve", "drain", "close"};

static bool is_open(const struct fake_step *step)
{
    return step->begun && !step->ended;
}

static enum berth_code result(const struct fake_step *step, struct berth_error *err)
{
    if (!step->ended)
        return BERTH_PENDING;
    if (step->code != BERTH_OK)
        berth_error_set(err, step->code, "%s", step->message);
    return step->code;
}

enum berth_code berth_testing_step(const struct berth_testing *testing, enum berth_step step,
                                   struct berth_error *err)
{
    return result(&testing->steps[step], err);
}

void berth_testing_set_timeout(struct berth_testing *testing, enum berth_step step, uint64_t timeout_ms)
{
    testing->steps[step].timeout_ns = timeout_ms * MILLISECOND_NS;
}

static void go_live(struct berth_testing *testing, void *instance)
{
    struct berth_error err;

    testing->instance = instance;
    testing->instance_is_open = true;
    if (!BERTH_HAS(testing->plugin, services))
        return;
    for (size_t i = 0; testing->plugin->services[i] != NULL; i++) {
        const struct berth_service *service = testing->plugin->services[i];

        if (router_set_live(testing->router, service->name, service, instance, 1, testing, &err) != BERTH_OK)
            fake_fault(testing, "%s", err.message);
    }
}

static void end(struct berth_testing *testing, enum berth_step which, enum berth_code code, void *instance,
                const char *message)
{
    struct fake_step *step = &testing->steps[which];

    step->ended = true;
    step->code = code;
    snprintf(step->message, sizeof(step->message), "%s", message == NULL ? "" : message);
    if (which == BERTH_STEP_INIT && code == BERTH_OK)
        go_live(testing, instance);
    if (which == BERTH_STEP_CLOSE)
        testing->instance_is_open = false;
}

/* A host closes an instance that comes after the deadline, and never uses it. */
static void close_late(struct berth_testing *testing, void *instance)
{
    fake_log(testing, BERTH_LOG_WARN, "init completed after its deadline; the instance is closed");
    testing->instance = instance;
    testing->instance_is_open = true;
    testing->must_close = true;
}

void fake_steps_settle(struct berth_testing *testing)
{
    struct berth_error err;

    if (!testing->must_close)
        return;
    testing->must_close = false;
    berth_testing_close(testing, &err);
}

void fake_step_complete(struct berth_testing *testing, enum berth_step which, enum berth_code code,
                        void *instance, const char *message)
{
    struct fake_step *step = &testing->steps[which];
    bool late = step->ended && step->code == BERTH_DEADLINE_EXCEEDED;

    if (!step->begun) {
        fake_fault(testing, "%s was completed before it had begun", step_names[which]);
    } else if (step->completed || (step->ended && !late)) {
        fake_fault(testing, "%s was completed once more after it had ended", step_names[which]);
    } else if (step->inside) {
        step->code = code;
        step->instance = instance;
        snprintf(step->message, sizeof(step->message), "%s", message == NULL ? "" : message);
    } else if (late && which == BERTH_STEP_INIT && code == BERTH_OK) {
        close_late(testing, instance);
    } else if (!late) {
        end(testing, which, code, instance, message);
    }
    step->completed = step->begun;
}

void fake_steps_expire(struct berth_testing *testing)
{
    uint64_t now = uv_hrtime();

    for (size_t i = 0; i < STEP_COUNT; i++)
        if (is_open(&testing->steps[i]) && testing->steps[i].deadline_ns <= now)
            end(testing, (enum berth_step)i, BERTH_DEADLINE_EXCEEDED, NULL, "it did not end in time");
}

uint64_t fake_steps_due_ns(const struct berth_testing *testing)
{
    uint64_t due = UINT64_MAX;

    for (size_t i = 0; i < STEP_COUNT; i++)
        if (is_open(&testing->steps[i]) && testing->steps[i].deadline_ns < due)
            due = testing->steps[i].deadline_ns;
    return due;
}

static void begin(struct fake_step *step)
{
    step->begun = true;
    step->inside = true;
    step->deadline_ns = uv_hrtime() + step->timeout_ns;
}

/* The callback has answered. */
static void answered(struct berth_testing *testing, enum berth_step which, enum berth_code code,
                     void *instance, const struct berth_error *err)
{
    struct fake_step *step = &testing->steps[which];

    step->inside = false;
    if (code == BERTH_PENDING && !step->completed)
        return;
    if (code == BERTH_PENDING) {
        char *message = fake_format("%s", step->message);

        end(testing, which, step->code, step->instance, message);
        free(message);
        return;
    }
    if (step->completed)
        fake_fault(testing, "%s was completed although its callback did not answer BERTH_PENDING",
                   step_names[which]);
    if (code == BERTH_SKIP && which != BERTH_STEP_INIT)
        fake_fault(testing, "%s answered BERTH_SKIP, which only prepare and init may", step_names[which]);
    end(testing, which, code, instance, code == BERTH_OK ? NULL : err->message);
}

static bool step_has_ended(void *context)
{
    const struct fake_step *step = context;

    return step->ended;
}

static enum berth_code wait_for(struct berth_testing *testing, enum berth_step which, struct berth_error *err)
{
    fake_wait(testing, step_has_ended, &testing->steps[which], true);
    return result(&testing->steps[which], err);
}

struct preparation {
    struct berth_testing *testing;
    void *prepared;
    enum berth_code code;
    struct berth_error err;
};

static void *run_prepare(void *context)
{
    struct preparation *preparation = context;
    struct berth_testing *testing = preparation->testing;

    preparation->code =
        testing->plugin->prepare(&testing->prepare, &preparation->prepared, &preparation->err);
    return NULL;
}

/* On a thread of its own, as in a host, so that it cannot lean on the loop's. */
static enum berth_code prepare(struct berth_testing *testing, void **ret_prepared, struct berth_error *err)
{
    struct preparation preparation = {.testing = testing};
    pthread_t thread;

    if (!BERTH_HAS(testing->plugin, prepare))
        return BERTH_OK;
    if (pthread_create(&thread, NULL, run_prepare, &preparation) != 0)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no thread for prepare");
    pthread_join(thread, NULL);
    if (preparation.code == BERTH_PENDING)
        fake_fault(testing, "prepare answered BERTH_PENDING, which it may not");
    if (preparation.code != BERTH_OK)
        return berth_error_set(err, preparation.code, "%s", preparation.err.message);
    *ret_prepared = preparation.prepared;
    return BERTH_OK;
}

/* What lacks a setting under skip_unless is skipped, and none of its code runs. */
static enum berth_code check_conditions(const struct berth_testing *testing, struct berth_error *err)
{
    const char *unset = manifest_find_unset(testing->description, testing->host.settings);

    if (unset == NULL)
        return BERTH_OK;
    manifest_explain_unset(unset, err);
    return BERTH_SKIP;
}

enum berth_code berth_testing_start(struct berth_testing *testing, struct berth_error *err)
{
    struct fake_step *step = &testing->steps[BERTH_STEP_INIT];
    struct berth_error failure = {.message = ""};
    void *prepared = NULL, *instance = NULL;
    enum berth_code code;

    if (step->begun)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "it was started before");
    begin(step);
    code = check_conditions(testing, &failure);
    if (code == BERTH_OK)
        code = fake_check(testing, &failure);
    if (code == BERTH_OK)
        code = prepare(testing, &prepared, &failure);
    if (code == BERTH_OK && BERTH_HAS(testing->plugin, init))
        code = testing->plugin->init(&testing->host, prepared, &instance, &failure);
    answered(testing, BERTH_STEP_INIT, code, instance, &failure);
    return wait_for(testing, BERTH_STEP_INIT, err);
}

void berth_testing_cancel_prepare(struct berth_testing *testing)
{
    atomic_store(&testing->prepare_is_cancelled, true);
}

static enum berth_code run_step(struct berth_testing *testing, enum berth_step which,
                                enum berth_code (*callback)(const struct berth_host *, void *,
                                                            struct berth_error *),
                                struct berth_error *err)
{
    struct berth_error failure = {.message = ""};
    enum berth_code code = BERTH_OK;

    if (testing->steps[which].begun || !testing->instance_is_open)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s cannot begin: %s", step_names[which],
                               testing->steps[which].begun ? "it has begun before" : "there is no instance");
    begin(&testing->steps[which]);
    if (callback != NULL)
        code = callback(&testing->host, testing->instance, &failure);
    answered(testing, which, code, NULL, &failure);
    return wait_for(testing, which, err);
}

enum berth_code berth_testing_serve(struct berth_testing *testing, struct berth_error *err)
{
    return run_step(testing, BERTH_STEP_SERVE,
                    BERTH_HAS(testing->plugin, serve) ? testing->plugin->serve : NULL, err);
}

enum berth_code berth_testing_drain(struct berth_testing *testing, struct berth_error *err)
{
    return run_step(testing, BERTH_STEP_DRAIN,
                    BERTH_HAS(testing->plugin, drain) ? testing->plugin->drain : NULL, err);
}

/* No call may run on an instance that is being closed, as in a host. */
static void end_calls(struct berth_testing *testing)
{
    for (size_t i = 0; i < testing->description->service_count; i++)
        router_set_gone(testing->router, testing->description->services[i].name, BERTH_UNAVAILABLE,
                        "the plugin is being closed");
    router_end_calls(testing->router, testing->instance, "the plugin is being closed");
    router_remove_interceptors(testing->router, testing);
}

enum berth_code berth_testing_close(struct berth_testing *testing, struct berth_error *err)
{
    if (testing->instance_is_open && !testing->steps[BERTH_STEP_CLOSE].begun)
        end_calls(testing);
    return run_step(testing, BERTH_STEP_CLOSE,
                    BERTH_HAS(testing->plugin, close) ? testing->plugin->close : NULL, err);
}
