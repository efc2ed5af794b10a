/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake host: shared by its files, each of which calls only those before it: clock.c, host.c, call.c,
 * testing.c.
 */
#ifndef TESTING_FAKE_H
#define TESTING_FAKE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include <berth/testing.h>
#include <config/value.h>
#include <core/state/changes.h>
#include <core/manifest/manifest.h>
#include <sdk/base/memory.h>
#include <sdk/calls/router.h>

#define MILLISECOND_NS UINT64_C(1000000)
#define STEP_COUNT 4

struct fake_line {
    enum berth_log_level level;
    char *text;
};

/** An instance's reported condition: BERTH_OK and NULL if all is well. */
struct fake_condition {
    enum berth_code code;
    char *reason;
};

struct fake_provider {
    char *uri;
    const void *interface;
    void *instance;
    struct fake_condition condition;
};

struct fake_export {
    char *key;
    char *value;
};

struct fake_platform {
    char *os;
    char *architecture;
    char *variant;
};

struct berth_hold {
    LIST_ENTRY(berth_hold) link;
    char *what;
};

/** An event due at a time on the clock of uv_hrtime(). Embedded; zero: not set. */
struct fake_deadline {
    LIST_ENTRY(fake_deadline) link;
    bool is_set;
    uint64_t due_ns;
    void (*on_due)(struct berth_testing *testing, struct fake_deadline *deadline);
};

/** One step of the life, from its callback to its completion. */
struct fake_step {
    bool begun;
    /** Its callback is running: a completion may arrive, and counts if the callback returns BERTH_PENDING. */
    bool inside;
    bool completed;
    /** It has ended, in time or not, with `code` and `message`. */
    bool ended;
    enum berth_code code;
    void *instance;
    uint64_t timeout_ns;
    struct fake_deadline deadline;
    char message[BERTH_ERROR_MAX];
};

struct berth_testing {
    struct berth_host host;
    struct berth_prepare prepare;
    struct berth_inspect inspect;
    struct berth_daemon_info daemon;
    struct changes changes;
    uv_loop_t *loop;

    struct manifest *manifest;
    const struct manifest_plugin *description;
    const struct berth_plugin *plugin;
    struct config_tree *section;
    struct config_values *values;
    struct router *router;

    atomic_bool prepare_is_cancelled;
    void *instance;
    bool instance_is_open;
    /** Set if the instance was completed after its deadline: the loop's next turn closes it. */
    struct fake_deadline late;
    struct fake_step steps[STEP_COUNT];

    struct fake_provider *providers;
    size_t provider_count;
    struct fake_line *lines;
    size_t line_count;
    pthread_mutex_t lines_lock;
    struct fake_export *exports;
    size_t export_count;
    struct fake_platform *platforms;
    size_t platform_count;
    char **capabilities;
    size_t capability_count;
    LIST_HEAD(, berth_hold) holds;
    LIST_HEAD(, berth_testing_call) calls;
    LIST_HEAD(, fake_deadline) deadlines;

    char *root_dir;
    char *state_dir;
    enum berth_code failure;
    char failure_message[BERTH_ERROR_MAX];
    struct fake_condition condition;
    /** Violations of the contract, one per line; NULL: none. */
    char *faults;
};

/** Stops the process's monotonic clock, until fake_clock_let_go has been called as many times. */
void fake_clock_stop(void);
void fake_clock_let_go(void);
/** Calls `on_due` in the first turn of the loop after that time. Replaces an earlier setting. */
void fake_deadline_set(struct berth_testing *testing, struct fake_deadline *deadline, uint64_t due_ns,
                       void (*on_due)(struct berth_testing *testing, struct fake_deadline *deadline));
/** No-op if it is not set. */
void fake_deadline_clear(struct fake_deadline *deadline);
/** Runs the loop until done, until only the clock can make progress, or for two seconds. */
bool fake_wait(struct berth_testing *testing, bool (*is_done)(void *context), void *context,
               bool stop_when_idle);

/** Records a violation of the contract by the plugin. */
BERTH_PRINTF(2, 3) void fake_fault(struct berth_testing *testing, const char *format, ...);
void fake_log(struct berth_testing *testing, enum berth_log_level level, const char *text);

/** The plugin's complete(). */
typedef void fake_complete(const struct berth_host *host, enum berth_step step, enum berth_code code,
                           void *instance, const char *message);
/** Fills in the tables that are passed to the plugin. */
void fake_host_init(struct berth_testing *testing, fake_complete *complete);
/** Stops notifying watches. The handle is closed in the loop's next turn. */
void fake_host_close(struct berth_testing *testing);
void fake_host_finish(struct berth_testing *testing);

/** Cancels the calls that have not ended; whoever created them frees them. */
void fake_calls_finish(struct berth_testing *testing);

#endif
