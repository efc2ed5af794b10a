/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a plugin in a test, with a fake host, a loop and a clock but no daemon. The test is linked from the
 * module's own sources and `pkg-config --cflags --libs berth-testing`:
 *
 *     struct berth_testing *t = berth_testing_create(&berth_module, NULL, "greeting: Hi", &err);
 *
 *     assert(berth_testing_start(t, &err) == BERTH_OK);
 *     struct berth_testing_call *call = berth_testing_unary(t, "/example.Hello/Say", request, length);
 *     assert(berth_testing_call_code(call) == BERTH_OK);
 *     berth_testing_call_destroy(call);
 *     assert(berth_testing_destroy(t, &err) == BERTH_OK);
 *
 * The clock is stopped. From create to destroy, the whole process sees a monotonic clock (uv_hrtime, uv_now,
 * the timers of every loop) that only berth_testing_advance moves. So run the loop with the functions below,
 * not with uv_run, which would wait for a timer forever. One thread, and one struct berth_testing at a time.
 */
#ifndef BERTH_TESTING_H
#define BERTH_TESTING_H

#include <berth/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/** The module under test. */
extern const struct berth_module berth_module;

struct berth_testing;
struct berth_testing_call;

/**
 * Creates a host for one plugin of a module. The manifest is found in the test program itself.
 *
 * @param uri       the plugin; may be NULL if the module has only one.
 * @param settings  the plugin's section of berthd.yaml, as YAML; NULL: all defaults. With a `config_version`
 *                  older than the manifest's it is migrated first, by renames and by the plugin's own
 *                  `migrate`.
 * @return NULL with the reason in `err`: a manifest or settings that a daemon would reject, or tables that do
 *         not match the manifest.
 */
struct berth_testing *berth_testing_create(const struct berth_module *module, const char *uri,
                                           const char *settings, struct berth_error *err);
/** The same for a module without a linked note: `manifest` is the text of its plugin.yaml. */
struct berth_testing *berth_testing_create_from(const char *manifest, const struct berth_module *module,
                                                const char *uri, const char *settings,
                                                struct berth_error *err);
/**
 * Closes the instance if that has not happened, and frees everything.
 *
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION with all that the plugin did against the contract, a sentence a
 * line: a handle, a thread, a thread-specific key with a destructor, a hold or a snapshot of a store left
 * behind; a step completed twice, a close that never ended; a call used after its end, replied to twice, or
 * finished with a made-up code; a function of the host called on another thread than the loop's; a callback
 * that took too long, that ran or stopped the loop, or that printed to stdout or stderr (callbacks of the
 * test on the loop count too); a step that changed what belongs to the process (signals, folder, umask,
 * locale, environment); a forked child that returned into the host. A callback that calls exit(3) or
 * _exit(2), or that does not return within 20 times its limit, ends the test with status 70 and a line on
 * standard error.
 */
enum berth_code berth_testing_destroy(struct berth_testing *testing, struct berth_error *err);

/**
 * Provides a ready instance of another plugin. As always, the manifest must list it under requires or wants.
 * Plugins of the types io.containerd.server.v1 and io.berth.server.v1 need no listing; they are servers
 * (<berth/types/server.h>), whose connections berth_inspect shows.
 * @param interface  what berth/types/… declares for its type, or NULL; must live as long as the test.
 */
void berth_testing_provide(struct berth_testing *testing, const char *uri, const void *interface,
                           void *instance);
/** Sets the condition of a provided instance, as berth_report would; watches are notified. */
void berth_testing_set_condition(struct berth_testing *testing, const char *uri, enum berth_code code,
                                 const char *message);
/**
 * Provides a service of another plugin, for testing servers and interceptors, and to answer the calls that
 * the plugin makes with berth_outgoing_start. Static, as in a module.
 */
enum berth_code berth_testing_provide_service(struct berth_testing *testing,
                                              const struct berth_service *service, void *instance,
                                              struct berth_error *err);

/**
 * Run check, prepare and init; serve; drain; close. Each waits until the step has ended.
 *
 * @return the result; BERTH_PENDING if only the clock, or something that takes more than two seconds, can end
 *         the step: see berth_testing_advance and berth_testing_step. BERTH_FAILED_PRECONDITION if it is not
 *         the step's turn.
 */
enum berth_code berth_testing_start(struct berth_testing *testing, struct berth_error *err);
enum berth_code berth_testing_serve(struct berth_testing *testing, struct berth_error *err);
enum berth_code berth_testing_drain(struct berth_testing *testing, struct berth_error *err);
enum berth_code berth_testing_close(struct berth_testing *testing, struct berth_error *err);

/** What drain and close see as the reason; BERTH_ENDING_STOPPING unless set. */
void berth_testing_set_ending(struct berth_testing *testing, enum berth_ending ending);
/**
 * Changes the settings of the instance as a reload does: checks the section, then calls `reconfigure`.
 *
 * @param settings  as in berth_testing_create.
 * @return the result of reconfigure, BERTH_RESTART among others; BERTH_INVALID_ARGUMENT for settings that a
 *         daemon would refuse. Except with BERTH_OK the settings before are in force again.
 */
enum berth_code berth_testing_reconfigure(struct berth_testing *testing, const char *settings,
                                          struct berth_error *err);
/**
 * Calls save_state. @param ret_bytes  valid until the next call of this, or destroy.
 * @return its result; BERTH_FAILED_PRECONDITION if the plugin has none or no instance.
 */
enum berth_code berth_testing_save_state(struct berth_testing *testing, const void **ret_bytes,
                                         size_t *ret_length, struct berth_error *err);
/** Calls load_state. @return as berth_testing_save_state. */
enum berth_code berth_testing_load_state(struct berth_testing *testing, uint32_t version, const void *bytes,
                                         size_t length, struct berth_error *err);
/** How many holdings with this text in their description the plugin has noted; NULL: all of them. */
size_t berth_testing_holdings(const struct berth_testing *testing, const char *what);

/** State of a step: BERTH_PENDING until it has ended, BERTH_DEADLINE_EXCEEDED if it took too long. */
enum berth_code berth_testing_step(const struct berth_testing *testing, enum berth_step step,
                                   struct berth_error *err);
/** Deadline of a step. Default: 10 seconds; close: 5 seconds. */
void berth_testing_set_timeout(struct berth_testing *testing, enum berth_step step, uint64_t timeout_ms);
/** How long a callback may keep the loop, in real time; one second unless set, 0: as long as it likes. */
void berth_testing_set_callback_limit(struct berth_testing *testing, uint64_t milliseconds);
/** Makes `is_cancelled` true in prepare. */
void berth_testing_cancel_prepare(struct berth_testing *testing);

/**
 * Advances the clock from timer to timer and runs what falls due: the plugin's timers, and the deadlines of
 * steps and calls.
 */
void berth_testing_advance(struct berth_testing *testing, uint64_t milliseconds);
/**
 * Runs the loop with a stopped clock until `is_done` or for two seconds. @return the last result of is_done.
 */
bool berth_testing_run_until(struct berth_testing *testing, bool (*is_done)(void *context), void *context);
/** Runs everything that is ready to run. */
void berth_testing_run(struct berth_testing *testing);

/** Sets what berth_inspect reports for the daemon, initially false and false; watches are notified. */
void berth_testing_set_daemon(struct berth_testing *testing, bool ready, bool draining);
/**
 * Overrides the costs that berth_inspect shows for the plugin `uri`. Otherwise they are measured: entries,
 * their real time, calls, handles and faults of the plugin under test; nothing of provided ones.
 * Borrowed until the test ends.
 */
void berth_testing_set_costs(struct berth_testing *testing, const struct berth_plugin_costs *costs);
/** The same for the daemon as a whole: the members within `size`. */
void berth_testing_set_daemon_costs(struct berth_testing *testing, const struct berth_daemon_costs *costs);

const struct berth_host *berth_testing_host(struct berth_testing *testing);
uv_loop_t *berth_testing_loop(struct berth_testing *testing);
/** The instance created by init; NULL before. */
void *berth_testing_instance(const struct berth_testing *testing);
/** The plugin's table; NULL if it has none. */
const void *berth_testing_interface(const struct berth_testing *testing);

/** Does a line of the log contain this text? */
bool berth_testing_has_logged(const struct berth_testing *testing, const char *text);
/** The line at `i`; NULL past the last. */
const char *berth_testing_log(const struct berth_testing *testing, size_t i, enum berth_log_level *ret_level);
/** The value of an export, or NULL. */
const char *berth_testing_export(const struct berth_testing *testing, const char *key);
bool berth_testing_has_platform(const struct berth_testing *testing, const char *os,
                                const char *architecture);
bool berth_testing_has_capability(const struct berth_testing *testing, const char *capability);
/**
 * The value of one row of the plugin's metrics, as `hellos_total` or `hellos_total{of="Ann"}`, without the
 * label `plugin`; of a histogram `x_seconds_count`. A plugin that lists io.berth.metrics.v1 in its manifest
 * finds a registry without any berth_testing_provide.
 *
 * @return NaN if there is no such row.
 */
double berth_testing_metric(struct berth_testing *testing, const char *row);
/** Number of readiness holds not yet released. */
size_t berth_testing_holds(const struct berth_testing *testing);
/** BERTH_OK, or the code of the plugin's berth_fail with its message in `err`. */
enum berth_code berth_testing_failure(const struct berth_testing *testing, struct berth_error *err);

/** BERTH_OK, or the code of the plugin's last berth_report with its message in `err`. */
enum berth_code berth_testing_condition(const struct berth_testing *testing, struct berth_error *err);

/** Options of a call. Zero-initialise. */
struct berth_testing_call_options {
    /** The caller's deadline on the test's clock; 0: none. */
    uint64_t deadline_ms;
    const struct berth_metadata *metadata;
    size_t metadata_count;
    /** The transport: "grpc", "tcp", "ttrpc"; NULL: "test", over which every service is available. Static. */
    const char *transport;
    /** The caller's namespace, as stored by the interceptor io.berth.interceptor.v1.namespace; NULL: none. */
    const char *namespace_name;
};

/** Opens a call to "/helloworld.Greeter/SayHello"; `options` may be NULL. Never returns NULL. */
struct berth_testing_call *berth_testing_call_create(struct berth_testing *testing, const char *path,
                                                     const struct berth_testing_call_options *options);
/**
 * Opens a call, sends its only message, and runs the loop until it has ended or only the clock can end it.
 */
struct berth_testing_call *berth_testing_unary(struct berth_testing *testing, const char *path,
                                               const void *message, size_t length);
/** Cancels the call if it has not ended. Accepts NULL. */
void berth_testing_call_destroy(struct berth_testing_call *call);

/** Sends a message; held back while the handler has paused the call. */
void berth_testing_call_send(struct berth_testing_call *call, const void *message, size_t length);
/** The caller will send no more. */
void berth_testing_call_half_close(struct berth_testing_call *call);
void berth_testing_call_cancel(struct berth_testing_call *call);
/** Marks messages sent from here on as received compressed. */
void berth_testing_call_set_compressed(struct berth_testing_call *call, bool compressed);
/** Simulates a caller that does not read: berth_call_can_send returns false until reset. */
void berth_testing_call_set_slow(struct berth_testing_call *call, bool slow);

/** BERTH_PENDING until it has ended. */
enum berth_code berth_testing_call_code(const struct berth_testing_call *call);
/** The message that came with the code, or "". */
const char *berth_testing_call_message(const struct berth_testing_call *call);
size_t berth_testing_call_reply_count(const struct berth_testing_call *call);
/** The reply at `i`, followed by a NUL; NULL past the last. */
const void *berth_testing_call_reply(const struct berth_testing_call *call, size_t i, size_t *ret_length);
/** Did the handler request compression for this reply? false past the last. */
bool berth_testing_call_reply_is_compressed(const struct berth_testing_call *call, size_t i);
/** The first header or trailer of this key; NULL if there is none. */
const char *berth_testing_call_header(const struct berth_testing_call *call, const char *key);
const char *berth_testing_call_trailer(const struct berth_testing_call *call, const char *key);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif
