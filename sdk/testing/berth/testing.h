/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a plugin inside a test: a host, a loop and a clock, and no daemon. The test is linked from the
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
 * Time stands still. From create to destroy the whole process sees a monotonic clock (uv_hrtime, uv_now, the
 * timers of every loop) that only berth_testing_advance moves. So the loop is run by the functions below and
 * not with uv_run, which would wait for a timer forever. One thread, and one of these at a time.
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

/** What the module under test exports. */
extern const struct berth_module berth_module;

struct berth_testing;
struct berth_testing_call;

/**
 * Makes a host for one plugin of a module, whose manifest it finds in the test program itself.
 *
 * @param uri       the plugin, or NULL where the module has only one.
 * @param settings  the plugin's section of berthd.yaml, as YAML; NULL: all defaults. With a `config_version`
 * below the manifest's it is migrated first, by renames and by the plugin's own `migrate`.
 * @return NULL with the reason in `err`: a manifest or settings that a daemon would refuse, tables that do
 * not fit the manifest.
 */
struct berth_testing *berth_testing_create(const struct berth_module *module, const char *uri,
                                           const char *settings, struct berth_error *err);
/** The same for a module whose note is not linked in: `manifest` is the text of its plugin.yaml. */
struct berth_testing *berth_testing_create_from(const char *manifest, const struct berth_module *module,
                                                const char *uri, const char *settings,
                                                struct berth_error *err);
/**
 * Closes the instance if that has not happened, and frees everything.
 *
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION with all that the plugin did against the contract: a handle
 * left open in the loop, a hold never released, a step completed twice, a close that never ended.
 */
enum berth_code berth_testing_destroy(struct berth_testing *testing, struct berth_error *err);

/**
 * Offers a ready instance of another plugin. The manifest has to name it under requires or wants, as always.
 * @param interface  what berth/types/… declares for its type, or NULL; lives as long as the test.
 */
void berth_testing_provide(struct berth_testing *testing, const char *uri, const void *interface,
                           void *instance);
/** What an instance that the test provides says of itself, as by berth_report; watches for changes are told.
 */
void berth_testing_set_condition(struct berth_testing *testing, const char *uri, enum berth_code code,
                                 const char *message);
/** Offers a service of somebody else, for testing servers and interceptors. Static, as in a module. */
enum berth_code berth_testing_provide_service(struct berth_testing *testing,
                                              const struct berth_service *service, void *instance,
                                              struct berth_error *err);

/**
 * Runs check, prepare and init; serve; drain; close: each waits until the step has ended.
 *
 * @return how it ended; BERTH_PENDING where only the clock, or something that takes more than two seconds,
 *         can end it: see berth_testing_advance and berth_testing_step. BERTH_FAILED_PRECONDITION where it is
 *         not the step's turn.
 */
enum berth_code berth_testing_start(struct berth_testing *testing, struct berth_error *err);
enum berth_code berth_testing_serve(struct berth_testing *testing, struct berth_error *err);
enum berth_code berth_testing_drain(struct berth_testing *testing, struct berth_error *err);
enum berth_code berth_testing_close(struct berth_testing *testing, struct berth_error *err);

/** How a step stands: BERTH_PENDING until it has ended, BERTH_DEADLINE_EXCEEDED where it took too long. */
enum berth_code berth_testing_step(const struct berth_testing *testing, enum berth_step step,
                                   struct berth_error *err);
/** How long a step may take; 10 seconds each, 5 for close, unless set. */
void berth_testing_set_timeout(struct berth_testing *testing, enum berth_step step, uint64_t timeout_ms);
/** From here on `prepare` is told that it is cancelled. */
void berth_testing_cancel_prepare(struct berth_testing *testing);

/**
 * Moves the clock, from one timer to the next, and runs what falls due: the plugin's timers, and the
 * deadlines of steps and calls.
 */
void berth_testing_advance(struct berth_testing *testing, uint64_t milliseconds);
/** Runs the loop, without moving the clock, until `is_done` or for two seconds. @return what it said last. */
bool berth_testing_run_until(struct berth_testing *testing, bool (*is_done)(void *context), void *context);
/** Runs what can run at once. */
void berth_testing_run(struct berth_testing *testing);

/** What berth_inspect tells of the daemon, at first neither; watches for changes are told. */
void berth_testing_set_daemon(struct berth_testing *testing, bool ready, bool draining);

const struct berth_host *berth_testing_host(struct berth_testing *testing);
uv_loop_t *berth_testing_loop(struct berth_testing *testing);
/** What init made; NULL before. */
void *berth_testing_instance(const struct berth_testing *testing);
/** The table through which others would use it; NULL where it has none. */
const void *berth_testing_interface(const struct berth_testing *testing);

/** Has a line of the log this text in it? */
bool berth_testing_has_logged(const struct berth_testing *testing, const char *text);
/** The line at `i`; NULL past the last. */
const char *berth_testing_log(const struct berth_testing *testing, size_t i, enum berth_log_level *ret_level);
/** The value of an export, or NULL. */
const char *berth_testing_export(const struct berth_testing *testing, const char *key);
bool berth_testing_has_platform(const struct berth_testing *testing, const char *os,
                                const char *architecture);
bool berth_testing_has_capability(const struct berth_testing *testing, const char *capability);
/** How many readiness holds are kept. */
size_t berth_testing_holds(const struct berth_testing *testing);
/** Has it called berth_fail? BERTH_OK, or the code with its sentence in `err`. */
enum berth_code berth_testing_failure(const struct berth_testing *testing, struct berth_error *err);

/** What it said last with berth_report: BERTH_OK, or the code with its sentence in `err`. */
enum berth_code berth_testing_condition(const struct berth_testing *testing, struct berth_error *err);

/** How a call begins. Zero-initialise. */
struct berth_testing_call_options {
    /** How long the caller waits, on the clock of the test; 0: no deadline. */
    uint64_t deadline_ms;
    const struct berth_metadata *metadata;
    size_t metadata_count;
    /** What carries it: "grpc", "tcp", "ttrpc"; NULL: "test", which every service takes. Static. */
    const char *transport;
    /** What the caller works in, as the interceptor io.berth.interceptor.v1.namespace would note it; NULL:
     * none. */
    const char *namespace_name;
};

/** Opens a call, "/helloworld.Greeter/SayHello"; `options` may be NULL. Never NULL. */
struct berth_testing_call *berth_testing_call_create(struct berth_testing *testing, const char *path,
                                                     const struct berth_testing_call_options *options);
/** Opens a call, sends its one message, and runs the loop until it is over or only the clock can help. */
struct berth_testing_call *berth_testing_unary(struct berth_testing *testing, const char *path,
                                               const void *message, size_t length);
/** Cancels it if it runs. NULL is fine. */
void berth_testing_call_destroy(struct berth_testing_call *call);

/** Sends a message; kept back while the handler has paused the call. */
void berth_testing_call_send(struct berth_testing_call *call, const void *message, size_t length);
/** No more messages come. */
void berth_testing_call_half_close(struct berth_testing_call *call);
void berth_testing_call_cancel(struct berth_testing_call *call);
/** Are the messages sent from here on said to come compressed? */
void berth_testing_call_set_compressed(struct berth_testing_call *call, bool compressed);
/** A caller that does not read: berth_call_can_send says no until it does again. */
void berth_testing_call_set_slow(struct berth_testing_call *call, bool slow);

/** BERTH_PENDING while it runs. */
enum berth_code berth_testing_call_code(const struct berth_testing_call *call);
/** The sentence that came with the code, or "". */
const char *berth_testing_call_message(const struct berth_testing_call *call);
size_t berth_testing_call_reply_count(const struct berth_testing_call *call);
/** The reply at `i`, with a NUL behind it; NULL past the last. */
const void *berth_testing_call_reply(const struct berth_testing_call *call, size_t i, size_t *ret_length);
/** The first header or trailer of that key; NULL where there is none. */
/** Did the handler want it compressed? false also past the last one. */
bool berth_testing_call_reply_is_compressed(const struct berth_testing_call *call, size_t i);
const char *berth_testing_call_header(const struct berth_testing_call *call, const char *key);
const char *berth_testing_call_trailer(const struct berth_testing_call *call, const char *key);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif
