/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake host: shared by its files, each of which calls only those before it: words.c, process.c,
 * strict.c, clock.c, providers.c, costs.c, log.c, inspect.c, host.c, metrics.c, call.c, testing.c.
 */
#ifndef TESTING_FAKE_H
#define TESTING_FAKE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include <berth/testing.h>
#include <berth/types/store.h>
#include <config/schema/value.h>
#include <core/state/changes.h>
#include <core/state/followers.h>
#include <core/manifest/manifest.h>
#include <core/life/mailbox.h>
#include <sdk/base/memory.h>
#include <sdk/base/surroundings.h>
#include <sdk/calls/outgoing.h>
#include <sdk/base/unix_socket.h>
#include <sdk/calls/router.h>

#define MILLISECOND_NS UINT64_C(1000000)
#define STEP_COUNT 4

/** Entries into the plugin beyond this depth are not looked at. */
#define FAKE_DEPTH_MAX 16

/** What the plugin is called for: "handler", "/x.Y/Z". */
struct fake_word {
    const char *doing, *detail;
    /** The plugin says so itself. */
    bool is_own;
    /** Belongs to a plugin other than the one under test, so it is not its cost. */
    bool is_strange;
    /** Where it was called. */
    uintptr_t stack;
    /** Of real time; of entries inside this one. */
    uint64_t begun_ns, inner_ns;
};

/** What libuv called, if the plugin says nothing else. */
#define FAKE_CALLBACK "a callback of the loop"

/** A child that was forked in a callback, and the reading end of its pipe. */
struct fake_fork {
    int fd;
    char who[160];
};

/** Maximum number of children watched at the same time. */
#define FAKE_FORKS_MAX 16

/** A store that counts its snapshots. */
struct fake_store {
    struct berth_store table;
    const struct berth_store *real;
    void *instance;
    struct fake_store *next;
};

struct fake_snapshot {
    struct berth_store_txn *txn;
    const struct fake_store *store;
    bool is_blamed;
};

struct fake_line {
    enum berth_log_level level;
    char *text;
};

/** An instance's reported condition: BERTH_OK and NULL if all is well. */
struct fake_condition {
    enum berth_code code;
    char *reason;
    uint64_t degradations;
};

/** What the plugin has cost, in real time. */
struct fake_costs {
    uint64_t loop_ns, longest_ns, entries, slow;
};

struct fake_provider {
    char *uri;
    const void *interface;
    void *instance;
    struct fake_condition condition;
    /** Its own log level plus one; 0: the daemon's. */
    atomic_int log_level;
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

/** What somebody holds of the plugin under test. */
struct berth_holding {
    LIST_ENTRY(berth_holding) link;
    char *what;
};

/** A socket that the plugin under test listens on. */
struct fake_socket {
    LIST_ENTRY(fake_socket) link;
    char *address;
    int fd;
    bool is_unix;
    struct unix_socket place;
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
    struct followers followers;
    /** As in enum berth_log_level; the plugin's own level plus one, or 0. */
    atomic_int daemon_level, own_level;
    struct fake_costs costs;
    /** Costs set by the test instead; all borrowed. */
    const struct berth_plugin_costs **set_costs;
    size_t set_costs_count;
    const struct berth_daemon_costs *set_daemon_costs;
    /** On the clock of uv_hrtime(). */
    uint64_t begun_ns;
    /** NULL: the manifest lists none. */
    struct berth_metrics_registry *metrics;
    uv_loop_t *loop;

    struct manifest *manifest;
    const struct manifest_plugin *description;
    const struct berth_plugin *plugin;
    struct config_tree *section;
    struct config_values *values;
    /** What save_state has written. */
    unsigned char *state;
    size_t state_length;
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
    LIST_HEAD(, berth_holding) holdings;
    LIST_HEAD(, fake_socket) sockets;
    LIST_HEAD(, berth_testing_call) calls;
    LIST_HEAD(, fake_deadline) deadlines;

    char *root_dir;
    char *state_dir;
    enum berth_code failure;
    char failure_message[BERTH_ERROR_MAX];
    struct fake_condition condition;
    /** Violations of the contract, one per line; NULL: none. */
    char *faults;
    pthread_mutex_t faults_lock;

    /** Everything happens on it. */
    pthread_t thread;
    struct mailroom mailroom;
    struct outgoings outgoings;
    struct outgoing_caller caller;
    /** What of the plugin runs, the innermost last; real time spent in it during one turn of the loop. */
    struct fake_word words[FAKE_DEPTH_MAX];
    unsigned depth;
    uint64_t known_ns, callback_limit_ns;
    /** The process as it was when the step that runs began; NULL: none runs. */
    struct surroundings *surroundings;
    /** They see a loop that somebody else runs or stops. */
    uv_prepare_t loop_prepare;
    uv_check_t loop_check;
    unsigned iterations;
    bool is_loop_stopped;
    /** Where libuv was called; 0: no turn of the loop runs. */
    uintptr_t turn_stack;
    /** Runs on a thread other than the loop's. */
    bool is_preparing;
    pid_t pid;
    struct fake_fork forks[FAKE_FORKS_MAX];
    size_t fork_count;
    /** The process's threads when this was made. */
    long *threads;
    size_t thread_count;
    struct fake_store *stores;
    struct fake_snapshot *snapshots;
    size_t snapshot_count;
};

/** The running one, since exit(3) and others do not pass it on; NULL: none. */
extern struct berth_testing *fake_current;

/** Records a violation of the contract by the plugin, each sentence once. Any thread. */
BERTH_PRINTF(2, 3) void fake_fault(struct berth_testing *testing, const char *format, ...);
/** As in a host: all but the log and the posts are for the loop's thread. Elsewhere that is a fault. */
bool fake_is_on_loop(struct berth_testing *testing, const char *function, struct berth_error *err);
/** The monotonic clock that does not stand still. */
uint64_t fake_real_ns(void);

/** What runs at the innermost level. */
const struct fake_word *fake_running(const struct berth_testing *testing);
/** "handler /a.B/C", "a callback of the loop" */
void fake_name_word(const struct fake_word *word, char *text, size_t size);
void fake_name_running(const struct berth_testing *testing, char *text, size_t size);
/** The same for the calling thread, which may be another. */
void fake_name_caller(const struct berth_testing *testing, char *text, size_t size);

void fake_process_init(struct berth_testing *testing);
/** The outermost entry into the plugin, and since when, in real time; NULL: it has ended. */
void fake_process_enter(const char *doing, uint64_t begun_ns);
/** Maximum duration of a callback; 0: unlimited. */
void fake_process_limit(uint64_t limit_ns);
/** Ends a forked child that has returned from a callback. */
void fake_process_check_child(struct berth_testing *testing);
/** Everything of the plugin is to have ended. */
void fake_process_finish(struct berth_testing *testing);

/** Needs the loop. */
void fake_strict_init(struct berth_testing *testing);
/** Its handles are closed once the loop has come round. */
void fake_strict_close(struct berth_testing *testing);
/** Everything of the plugin is to have ended. */
void fake_strict_finish(struct berth_testing *testing);
/** Around the plugin's prepare, which runs on another thread. */
void fake_prepare_begin(struct berth_testing *testing);
void fake_prepare_end(struct berth_testing *testing);
/** Around each entry into the plugin. `detail` may be NULL. */
void fake_enter(struct berth_testing *testing, const char *doing, const char *detail);
/** The same for an entry into another plugin, which the test provides. */
void fake_enter_other(struct berth_testing *testing, const char *doing, const char *detail);
void fake_leave(struct berth_testing *testing);
/** Around what the plugin says is a callback of its own. @return false: it did not say so before. */
void fake_enter_own(struct berth_testing *testing, const char *what);
bool fake_leave_own(struct berth_testing *testing);
/** Runs what the loop can run at once, and looks at how long that takes. */
void fake_turn(struct berth_testing *testing);
/** Are there threads that the plugin, or the test, has started? */
bool fake_has_threads(struct berth_testing *testing);
/** The table of a store that is handed to the plugin: as `real`, and its snapshots are counted. */
const void *fake_store_wrap(struct berth_testing *testing, const struct berth_store *real, void *instance);

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

/** Is this URI of the type, the part before its last dot? */
bool fake_is_of_type(const char *uri, const char *type);
/** @return NULL if the test does not provide it. */
struct fake_provider *fake_provider_find(struct berth_testing *testing, const char *uri);
/** Notifies the watches for changes. */
void fake_condition_set(struct berth_testing *testing, struct fake_condition *condition, enum berth_code code,
                        const char *message);
void fake_providers_finish(struct berth_testing *testing);

/** Whose table it is. */
static inline struct berth_testing *fake_of_inspect(const struct berth_inspect *inspect)
{
    return (struct berth_testing *)(uintptr_t)inspect->context;
}

/** Fills in its part of berth_inspect. */
void fake_costs_init(struct berth_testing *testing);
void fake_costs_finish(struct berth_testing *testing);

/** Fills in its part of berth_inspect. Needs the loop. */
void fake_log_init(struct berth_testing *testing);
/** Nobody may follow any more. The handle is closed in the loop's next turn. */
void fake_log_close(struct berth_testing *testing);
void fake_log_finish(struct berth_testing *testing);
/** Any thread. */
void fake_log(struct berth_testing *testing, enum berth_log_level level, const char *text);
/** As berth_host's `logs`. */
bool fake_logs(const struct berth_host *host, enum berth_log_level level);

/** Fills in what berth_inspect gives. Needs the loop. */
void fake_inspect_init(struct berth_testing *testing);
/** Ends watching and following. The handles are closed in the loop's next turn. */
void fake_inspect_close(struct berth_testing *testing);
/** The plugin's complete(). */
typedef void fake_complete(const struct berth_host *host, enum berth_step step, enum berth_code code,
                           void *instance, const char *message);
/** Fills in the tables that are passed to the plugin. */
void fake_host_init(struct berth_testing *testing, fake_complete *complete);
/** Stops notifying watches. The handle is closed in the loop's next turn. */
void fake_host_close(struct berth_testing *testing);
void fake_host_finish(struct berth_testing *testing);

/** As berth_listen and berth_unlisten. */
enum berth_code fake_listen(struct berth_testing *testing, const struct berth_listen *request, int *ret_fd,
                            struct berth_error *err);
void fake_unlisten(struct berth_testing *testing, const char *address);
/** Closes what is left. */
void fake_listen_finish(struct berth_testing *testing);

/** Provides the registry that the manifest lists, if it does. */
void fake_metrics_init(struct berth_testing *testing);
void fake_metrics_finish(struct berth_testing *testing);

/** Cancels the calls that have not ended; whoever created them frees them. */
void fake_calls_finish(struct berth_testing *testing);

#endif
