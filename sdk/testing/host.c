/* SPDX-License-Identifier: Apache-2.0 */
/* The tables passed to the plugin under test, with the rules of the real host, and a record of their use. */
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sdk/base/container_of.h>

#include "fake.h"

/*
 * A directory for this test, created on first use in the directory for temporary files, and removed with the
 * test.
 */
static enum berth_code folder_get(char **folder, const char **ret_path, struct berth_error *err)
{
    const char *temporary = getenv("TMPDIR");
    char *path;

    if (*folder == NULL) {
        path = memory_format("%s/berth-testing-XXXXXX", temporary == NULL ? "/tmp" : temporary);
        if (mkdtemp(path) == NULL) {
            berth_error_set(err, BERTH_UNAVAILABLE, "cannot create folder %s: %s", path, strerror(errno));
            free(path);
            return BERTH_UNAVAILABLE;
        }
        *folder = path;
    }
    *ret_path = *folder;
    return BERTH_OK;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    remove(path);
    return 0;
}

static void folder_remove(char *folder)
{
    if (folder == NULL)
        return;
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(folder);
}

static struct berth_testing *of_host(const struct berth_host *host)
{
    return CONTAINER_OF(host, struct berth_testing, host);
}

static struct berth_testing *of_prepare(const struct berth_prepare *prepare)
{
    return CONTAINER_OF(prepare, struct berth_testing, prepare);
}

static struct berth_testing *on_loop(const struct berth_host *host, const char *function,
                                     struct berth_error *err)
{
    return fake_is_on_loop(of_host(host), function, err) ? of_host(host) : NULL;
}

static void host_log(const struct berth_host *host, enum berth_log_level level, const char *text)
{
    fake_log(of_host(host), level, text);
}

static enum berth_code root_dir(const struct berth_host *host, const char **ret_path, struct berth_error *err)
{
    struct berth_testing *testing = on_loop(host, "berth_root_dir", err);

    if (testing == NULL)
        return BERTH_FAILED_PRECONDITION;
    return folder_get(&testing->root_dir, ret_path, err);
}

static enum berth_code state_dir(const struct berth_host *host, const char **ret_path,
                                 struct berth_error *err)
{
    struct berth_testing *testing = on_loop(host, "berth_state_dir", err);

    if (testing == NULL)
        return BERTH_FAILED_PRECONDITION;
    return folder_get(&testing->state_dir, ret_path, err);
}

static bool names(const struct manifest_requirement *requirements, size_t count, const char *wanted)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = requirements[i].name;

        if (strcmp(name, "*") == 0 || strcmp(name, wanted) == 0 || fake_is_of_type(wanted, name))
            return true;
    }
    return false;
}

static bool is_declared(const struct berth_testing *testing, const char *wanted)
{
    const struct manifest_plugin *plugin = testing->description;

    return names(plugin->requirements, plugin->requirement_count, wanted) ||
           names(plugin->wants, plugin->want_count, wanted);
}

static enum berth_code undeclared(const char *wanted, struct berth_error *err)
{
    return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                           "%s is not declared: add it to requires or wants in plugin.yaml", wanted);
}

static struct berth_ref make_ref(const struct fake_provider *provider)
{
    return (struct berth_ref){
        .uri = provider->uri,
        .interface = provider->interface,
        .instance = provider->instance,
        .generation = 1,
    };
}

static enum berth_code get(const struct berth_host *host, const char *uri, struct berth_ref *ret_ref,
                           struct berth_error *err)
{
    struct berth_testing *testing = on_loop(host, "berth_get", err);
    const struct fake_provider *provider;

    if (testing == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (!is_declared(testing, uri))
        return undeclared(uri, err);
    provider = fake_provider_find(testing, uri);
    if (provider == NULL)
        return berth_error_set(err, BERTH_NOT_FOUND, "%s is not provided: see berth_testing_provide", uri);
    *ret_ref = make_ref(provider);
    return BERTH_OK;
}

static enum berth_code get_single(const struct berth_host *host, const char *type, struct berth_ref *ret_ref,
                                  struct berth_error *err)
{
    struct berth_testing *testing = on_loop(host, "berth_get_single", err);
    const struct fake_provider *found = NULL;

    if (testing == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (!is_declared(testing, type))
        return undeclared(type, err);
    for (size_t i = 0; i < testing->provider_count; i++) {
        if (!fake_is_of_type(testing->providers[i].uri, type))
            continue;
        if (found != NULL)
            return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                                   "%s is provided by both %s and %s; expected exactly one", type, found->uri,
                                   testing->providers[i].uri);
        found = &testing->providers[i];
    }
    if (found == NULL)
        return berth_error_set(err, BERTH_NOT_FOUND, "%s is not provided: see berth_testing_provide", type);
    *ret_ref = make_ref(found);
    return BERTH_OK;
}

static enum berth_code each(const struct berth_host *host, const char *type,
                            bool (*on_ref)(void *context, const struct berth_ref *ref), void *context,
                            struct berth_error *err)
{
    struct berth_testing *testing = on_loop(host, "berth_each", err);

    if (testing == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (!is_declared(testing, type))
        return undeclared(type, err);
    for (size_t i = 0; i < testing->provider_count; i++) {
        struct berth_ref ref = make_ref(&testing->providers[i]);

        if (fake_is_of_type(ref.uri, type) && !on_ref(context, &ref))
            break;
    }
    return BERTH_OK;
}

static enum berth_code add_export(const struct berth_host *host, const char *key, const char *value)
{
    struct berth_testing *testing = on_loop(host, "berth_add_export", NULL);

    if (testing == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (strncmp(key, "berth.", strlen("berth.")) == 0) {
        fake_fault(testing, "exports \"%s\": keys that begin with berth. are reserved for the daemon", key);
        return BERTH_INVALID_ARGUMENT;
    }
    for (size_t i = 0; i < testing->export_count; i++) {
        if (strcmp(testing->exports[i].key, key) != 0)
            continue;
        free(testing->exports[i].value);
        testing->exports[i].value = memory_copy(value);
        return BERTH_OK;
    }
    testing->exports = memory_grow(testing->exports, testing->export_count, sizeof(*testing->exports));
    testing->exports[testing->export_count++] =
        (struct fake_export){.key = memory_copy(key), .value = memory_copy(value)};
    return BERTH_OK;
}

static enum berth_code add_platform(const struct berth_host *host, const char *os, const char *architecture,
                                    const char *variant)
{
    struct berth_testing *testing = on_loop(host, "berth_add_platform", NULL);

    if (testing == NULL)
        return BERTH_FAILED_PRECONDITION;
    testing->platforms =
        memory_grow(testing->platforms, testing->platform_count, sizeof(*testing->platforms));
    testing->platforms[testing->platform_count++] = (struct fake_platform){
        .os = memory_copy(os),
        .architecture = memory_copy(architecture),
        .variant = memory_copy(variant == NULL ? "" : variant),
    };
    return BERTH_OK;
}

static enum berth_code add_capability(const struct berth_host *host, const char *capability)
{
    struct berth_testing *testing = on_loop(host, "berth_add_capability", NULL);

    if (testing == NULL)
        return BERTH_FAILED_PRECONDITION;
    testing->capabilities =
        memory_grow(testing->capabilities, testing->capability_count, sizeof(*testing->capabilities));
    testing->capabilities[testing->capability_count++] = memory_copy(capability);
    return BERTH_OK;
}

static bool is_too_late_for_a_hold(const struct berth_testing *testing)
{
    if (BERTH_HAS(testing->plugin, serve))
        return testing->steps[BERTH_STEP_SERVE].ended;
    return testing->steps[BERTH_STEP_INIT].ended;
}

static struct berth_hold *hold(const struct berth_host *host, const char *what)
{
    struct berth_testing *testing = on_loop(host, "berth_hold", NULL);
    struct berth_hold *result;

    if (testing == NULL)
        return NULL;
    if (is_too_late_for_a_hold(testing))
        return NULL;
    result = memory_grow(NULL, 0, sizeof(*result));
    result->what = memory_copy(what);
    LIST_INSERT_HEAD(&testing->holds, result, link);
    return result;
}

static void release(const struct berth_host *host, struct berth_hold *released)
{
    struct berth_testing *testing = on_loop(host, "berth_release", NULL);

    if (testing == NULL)
        return;
    if (released == NULL)
        return;
    LIST_REMOVE(released, link);
    free(released->what);
    free(released);
}

static enum berth_code intercept(const struct berth_host *host, const struct berth_interceptor *interceptor,
                                 void *self, struct berth_error *err)
{
    struct berth_testing *testing = on_loop(host, "berth_intercept", err);

    if (testing == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (!testing->steps[BERTH_STEP_INIT].begun || testing->steps[BERTH_STEP_INIT].ended)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "interceptors are added during init only");
    return router_add_interceptor(testing->router, interceptor, self, 0, testing, err);
}

static void admit(const struct berth_host *host, struct berth_call *call, enum berth_code code,
                  const char *message)
{
    struct berth_testing *testing = on_loop(host, "berth_admit", NULL);

    if (testing == NULL)
        return;
    router_admit(testing->router, testing, call, code, message, __builtin_return_address(0));
}

static void fail(const struct berth_host *host, enum berth_code code, const char *message)
{
    struct berth_testing *testing = on_loop(host, "berth_fail", NULL);

    if (testing == NULL)
        return;
    if (!testing->instance_is_open)
        fake_fault(testing, "berth_fail was called without a ready instance");
    if (testing->failure != BERTH_OK)
        return;
    testing->failure = code;
    snprintf(testing->failure_message, sizeof(testing->failure_message), "%s", message);
}

static void report(const struct berth_host *host, enum berth_code code, const char *message)
{
    struct berth_testing *testing = on_loop(host, "berth_report", NULL);

    if (testing == NULL)
        return;
    if (!testing->steps[BERTH_STEP_INIT].begun)
        fake_fault(testing, "berth_report was called before init");
    if (code != BERTH_OK && (message == NULL || *message == '\0'))
        fake_fault(testing, "berth_report gave %s without a reason", berth_code_name(code));
    fake_condition_set(testing, &testing->condition, code, message == NULL ? "" : message);
}

static void prepare_log(const struct berth_prepare *prepare, enum berth_log_level level, const char *text)
{
    fake_log(of_prepare(prepare), level, text);
}

static enum berth_code prepare_root_dir(const struct berth_prepare *prepare, const char **ret_path,
                                        struct berth_error *err)
{
    return folder_get(&of_prepare(prepare)->root_dir, ret_path, err);
}

static enum berth_code prepare_state_dir(const struct berth_prepare *prepare, const char **ret_path,
                                         struct berth_error *err)
{
    return folder_get(&of_prepare(prepare)->state_dir, ret_path, err);
}

/* Of others, of whom here is only the test itself. */
static void report_misuse(const struct berth_host *host, const char *what, const void *caller)
{
    struct berth_testing *testing = on_loop(host, "berth_report_misuse", NULL);
    char *line;

    if (testing == NULL)
        return;
    line = memory_format("reported a misuse: %s", what);
    fake_log(testing, BERTH_LOG_WARN, line);
    free(line);
}

static void enter(const struct berth_host *host, const char *what)
{
    struct berth_testing *testing = on_loop(host, "berth_enter", NULL);

    if (testing != NULL)
        fake_enter_own(testing, what);
}

static void leave(const struct berth_host *host)
{
    struct berth_testing *testing = on_loop(host, "berth_leave", NULL);

    if (testing != NULL && !fake_leave_own(testing))
        fake_fault(testing, "called berth_leave without berth_enter");
}

static struct berth_holding *note_holding(const struct berth_host *host, const char *what, const void *caller)
{
    struct berth_testing *testing = on_loop(host, "berth_note_holding", NULL);
    struct berth_holding *holding;

    if (testing == NULL)
        return NULL;
    holding = memory_grow(NULL, 0, sizeof(*holding));
    holding->what = memory_copy(what);
    LIST_INSERT_HEAD(&testing->holdings, holding, link);
    return holding;
}

/* A plugin under test is the provider: whoever holds something of it is the test. */
static struct berth_holding *note_revocable(const struct berth_host *host, const char *what,
                                            const void *caller, void (*revoke)(void *context), void *context)
{
    struct berth_holding *holding = note_holding(host, what, caller);

    (void)context;
    if (revoke == NULL)
        fake_fault(CONTAINER_OF(host, struct berth_testing, host), "berth_note_revocable without a function");
    return holding;
}

static void free_holding(struct berth_holding *holding)
{
    LIST_REMOVE(holding, link);
    free(holding->what);
    free(holding);
}

static void end_holding(const struct berth_host *host, struct berth_holding *ended)
{
    struct berth_testing *testing = on_loop(host, "berth_end_holding", NULL);
    struct berth_holding *holding;

    if (testing == NULL)
        return;
    LIST_FOREACH(holding, &testing->holdings, link)
    if (holding == ended) {
        free_holding(holding);
        return;
    }
    fake_fault(testing, "berth_end_holding was called for what is not held");
}

static enum berth_code start_outgoing(const struct berth_host *host,
                                      const struct berth_outgoing_options *options,
                                      const struct berth_outgoing_handlers *handlers, void *context,
                                      struct berth_outgoing **ret_call, struct berth_error *err)
{
    struct berth_testing *testing = on_loop(host, "berth_outgoing_start", err);

    return testing != NULL ? outgoing_start(&testing->caller, options, handlers, context, ret_call, err)
                           : BERTH_FAILED_PRECONDITION;
}

static enum berth_code host_listen(const struct berth_host *host, const struct berth_listen *request,
                                   int *ret_fd, struct berth_error *err)
{
    struct berth_testing *testing = on_loop(host, "berth_listen", err);

    return testing != NULL ? fake_listen(testing, request, ret_fd, err) : BERTH_FAILED_PRECONDITION;
}

static void host_unlisten(const struct berth_host *host, const char *address)
{
    struct berth_testing *testing = on_loop(host, "berth_unlisten", NULL);

    if (testing != NULL)
        fake_unlisten(testing, address);
}

static bool is_cancelled(const struct berth_prepare *prepare)
{
    return atomic_load(&of_prepare(prepare)->prepare_is_cancelled);
}

static void on_route_change(void *context)
{
    struct berth_testing *testing = context;

    changes_note(&testing->changes);
}

static void on_enter(void *context, const void *owner, enum router_part part, const struct berth_call *call)
{
    static const char *const doings[] = {
        [ROUTER_HANDLER] = "handler", [ROUTER_INTERCEPTOR] = "interceptor", [ROUTER_CALLER] = "callback"};
    const char *doing = doings[part];

    if (owner == context)
        fake_enter(context, doing, call->path);
    else
        fake_enter_other(context, doing, call->path);
}

static void on_leave(void *context, const void *owner, const struct berth_call *call)
{
    fake_leave(context);
}

static void on_misuse(void *context, const void *owner, const struct berth_call *call, const char *what,
                      const void *caller)
{
    fake_fault(context, "%s%s%s%s", what, call != NULL ? " (" : "", call != NULL ? call->path : "",
               call != NULL ? ")" : "");
}

static void on_post(void *owner)
{
    fake_enter(owner, "a posted function", NULL);
}

static void on_posted(void *owner)
{
    fake_leave(owner);
}

void fake_host_init(struct berth_testing *testing, fake_complete *complete)
{
    fake_inspect_init(testing);
    router_observe(testing->router, &(struct router_observer){.context = testing,
                                                              .on_enter = on_enter,
                                                              .on_leave = on_leave,
                                                              .on_change = on_route_change,
                                                              .on_misuse = on_misuse});
    router_set_rest(testing->router, SIZE_MAX);
    mailroom_init(&testing->mailroom, testing->loop);
    testing->mailroom.on_enter = on_post;
    testing->mailroom.on_leave = on_posted;
    testing->prepare = (struct berth_prepare){
        .size = sizeof(testing->prepare),
        .uri = testing->description->uri,
        .settings = config_values_settings(testing->values),
        .log = prepare_log,
        .root_dir = prepare_root_dir,
        .state_dir = prepare_state_dir,
        .is_cancelled = is_cancelled,
    };
    testing->host = (struct berth_host){
        .size = sizeof(testing->host),
        .uri = testing->description->uri,
        .type = testing->description->type,
        .id = testing->description->id,
        .generation = 1,
        .loop = testing->loop,
        .settings = config_values_settings(testing->values),
        .router = router_interface(testing->router),
        .inspect = &testing->inspect,
        .logs = fake_logs,
        .log = host_log,
        .root_dir = root_dir,
        .state_dir = state_dir,
        .get = get,
        .get_single = get_single,
        .each = each,
        .add_export = add_export,
        .add_platform = add_platform,
        .add_capability = add_capability,
        .hold = hold,
        .release = release,
        .intercept = intercept,
        .admit = admit,
        .complete = complete,
        .fail = fail,
        .report = report,
        .mailbox = mailbox_create(&testing->mailroom, testing),
        .report_misuse = report_misuse,
        .enter = enter,
        .leave = leave,
        .note_holding = note_holding,
        .end_holding = end_holding,
        .note_revocable = note_revocable,
        .start_outgoing = start_outgoing,
        .listen = host_listen,
        .unlisten = host_unlisten,
    };
    outgoings_init(&testing->outgoings, testing->router, testing->loop, SIZE_MAX);
    outgoing_caller_init(&testing->caller, &testing->outgoings, testing->description->uri, testing);
}

void fake_host_close(struct berth_testing *testing)
{
    fake_inspect_close(testing);
    mailbox_close(testing->host.mailbox, false);
    outgoing_caller_close(&testing->caller, false);
    mailroom_close(&testing->mailroom, NULL);
    outgoings_close(&testing->outgoings, NULL, NULL);
}

void fake_host_finish(struct berth_testing *testing)
{
    berth_mailbox_release(testing->host.mailbox);
    outgoing_caller_finish(&testing->caller);
    while (!LIST_EMPTY(&testing->holds)) {
        struct berth_hold *kept = LIST_FIRST(&testing->holds);

        release(&testing->host, kept);
    }
    while (!LIST_EMPTY(&testing->holdings))
        free_holding(LIST_FIRST(&testing->holdings));
    fake_listen_finish(testing);
    fake_providers_finish(testing);
    fake_log_finish(testing);
    for (size_t i = 0; i < testing->export_count; i++) {
        free(testing->exports[i].key);
        free(testing->exports[i].value);
    }
    for (size_t i = 0; i < testing->platform_count; i++) {
        free(testing->platforms[i].os);
        free(testing->platforms[i].architecture);
        free(testing->platforms[i].variant);
    }
    for (size_t i = 0; i < testing->capability_count; i++)
        free(testing->capabilities[i]);
    free(testing->exports);
    free(testing->platforms);
    free(testing->capabilities);
    folder_remove(testing->root_dir);
    folder_remove(testing->state_dir);
}

enum berth_code berth_testing_provide_service(struct berth_testing *testing,
                                              const struct berth_service *service, void *instance,
                                              struct berth_error *err)
{
    return router_provide(testing->router, "io.berth.testing.v1.stranger", service, instance, err);
}

const char *berth_testing_export(const struct berth_testing *testing, const char *key)
{
    for (size_t i = 0; i < testing->export_count; i++)
        if (strcmp(testing->exports[i].key, key) == 0)
            return testing->exports[i].value;
    return NULL;
}

bool berth_testing_has_platform(const struct berth_testing *testing, const char *os, const char *architecture)
{
    for (size_t i = 0; i < testing->platform_count; i++)
        if (strcmp(testing->platforms[i].os, os) == 0 &&
            strcmp(testing->platforms[i].architecture, architecture) == 0)
            return true;
    return false;
}

bool berth_testing_has_capability(const struct berth_testing *testing, const char *capability)
{
    for (size_t i = 0; i < testing->capability_count; i++)
        if (strcmp(testing->capabilities[i], capability) == 0)
            return true;
    return false;
}

size_t berth_testing_holdings(const struct berth_testing *testing, const char *what)
{
    const struct berth_holding *holding;
    size_t count = 0;

    LIST_FOREACH(holding, &testing->holdings, link)
    count += what == NULL || strstr(holding->what, what) != NULL;
    return count;
}

enum berth_code berth_testing_failure(const struct berth_testing *testing, struct berth_error *err)
{
    if (testing->failure == BERTH_OK)
        return BERTH_OK;
    return berth_error_set(err, testing->failure, "%s", testing->failure_message);
}

enum berth_code berth_testing_condition(const struct berth_testing *testing, struct berth_error *err)
{
    if (testing->condition.code == BERTH_OK)
        return BERTH_OK;
    return berth_error_set(err, testing->condition.code, "%s", testing->condition.reason);
}

const struct berth_host *berth_testing_host(struct berth_testing *testing)
{
    return &testing->host;
}

uv_loop_t *berth_testing_loop(struct berth_testing *testing)
{
    return testing->loop;
}

void *berth_testing_instance(const struct berth_testing *testing)
{
    return testing->instance;
}

const void *berth_testing_interface(const struct berth_testing *testing)
{
    return BERTH_HAS(testing->plugin, interface) ? testing->plugin->interface : NULL;
}
