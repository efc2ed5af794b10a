/* SPDX-License-Identifier: Apache-2.0 */
/* The fake host: what its files share. */
#ifndef TESTING_FAKE_H
#define TESTING_FAKE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include <berth/testing.h>
#include <config/value.h>
#include <core/state/changes.h>
#include <core/manifest/manifest.h>
#include <sdk/calls/router.h>

#define MILLISECOND_NS UINT64_C(1000000)
#define STEP_COUNT 4

struct fake_line {
    enum berth_log_level level;
    char *text;
};

/** What an instance says of itself: BERTH_OK and NULL where all is well. */
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

/** One step of the life, from its callback to its completion. */
struct fake_step {
    bool begun;
    /** Its callback runs: a completion may come, and counts once the callback answers BERTH_PENDING. */
    bool inside;
    bool completed;
    /** It has ended, in time or not, as `code` and `message` say. */
    bool ended;
    enum berth_code code;
    void *instance;
    uint64_t timeout_ns;
    uint64_t deadline_ns;
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
    /** It came after its deadline: the loop's next turn closes it. */
    bool must_close;
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

    char *root_dir;
    char *state_dir;
    enum berth_code failure;
    char failure_message[BERTH_ERROR_MAX];
    struct fake_condition condition;
    /** What was done against the contract, one sentence a line; NULL: nothing. */
    char *faults;
};

/** As asprintf, but never NULL: aborts when memory is out. */
BERTH_PRINTF(1, 2) char *fake_format(const char *format, ...);
/** A copy of a list with one slot more; aborts when memory is out. */
void *fake_grow(void *items, size_t count, size_t item_size);
/** Lets the plugin judge its settings, as a host does before prepare and init. */
enum berth_code fake_check(struct berth_testing *testing, struct berth_error *err);
/** Notes what the plugin did against the contract. */
BERTH_PRINTF(2, 3) void fake_fault(struct berth_testing *testing, const char *format, ...);
void fake_log(struct berth_testing *testing, enum berth_log_level level, const char *text);

/** Those who watch hear of it. */
void fake_condition_set(struct berth_testing *testing, struct fake_condition *condition, enum berth_code code,
                        const char *message);

/** Fills in the tables that the plugin is handed. */
void fake_host_init(struct berth_testing *testing);
void fake_host_finish(struct berth_testing *testing);
void fake_inspect_init(struct berth_testing *testing);
/** Its handle is closed once the loop has come round. */
void fake_inspect_finish(struct berth_testing *testing);

/** A folder of the test's own, made on first ask. */
enum berth_code fake_folder_get(char **folder, const char **ret_path, struct berth_error *err);
void fake_folder_remove(char *folder);

/** The plugin's complete(). */
void fake_step_complete(struct berth_testing *testing, enum berth_step step, enum berth_code code,
                        void *instance, const char *message);
/** Ends the steps whose deadline has passed. */
void fake_steps_expire(struct berth_testing *testing);
/** Closes an instance that came too late. */
void fake_steps_settle(struct berth_testing *testing);
/** When the next deadline of a step passes, on the clock of uv_hrtime; UINT64_MAX where there is none. */
uint64_t fake_steps_due_ns(const struct berth_testing *testing);
void fake_calls_expire(struct berth_testing *testing);
uint64_t fake_calls_due_ns(const struct berth_testing *testing);
/** Cancels the calls that still run; who made them frees them. */
void fake_calls_finish(struct berth_testing *testing);

/** Runs the loop until done, until only the clock could help, or for two seconds. */
bool fake_wait(struct berth_testing *testing, bool (*is_done)(void *context), void *context,
               bool stop_when_idle);

#endif
