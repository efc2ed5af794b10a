/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: one process for the plugins that share it. It is started for the first of them, watched, and
 * started again for all; the last one to leave ends it.
 *
 *     RUNNING ─▶ FALLING ─gone─▶ WAITING ─delay─▶ RUNNING …
 *         └ left by all ─▶ gone       └─ no restart, too many: FAILED
 *
 * What happens inside of it to one plugin is that plugin's affair: see isolated.h. All of it belongs to the
 * loop's thread.
 */
#ifndef CORE_WORKER_WORKER_H
#define CORE_WORKER_WORKER_H

#include <berth/isolation.h>

#include <core/crossing/crossing.h>
#include <core/settings/settings.h>

#include "confinement.h"

struct worker;

/** What a process is. Plugins that want the same share one. */
struct worker_wanted {
    const struct confinement *confinement;
    struct sandbox_kernel kernel;
    /** All who are to share it, in the order of the configuration: also those that do not run now. They agree
     * on when it is started again, and when it is stuck. */
    const struct confined *confined;
    size_t confined_count;
    /** The file that is loaded for the plugin that asks. */
    const char *path;
    const struct stat *status;
};

/** How a process ended. Borrowed for the length of the call. */
struct worker_end {
    /** "its process was killed by SIGSEGV (Segmentation fault)" */
    const char *reason;
    /** BERTH_PROCESS_ENDS: none was started. */
    enum berth_process_end kind;
    /** Why it could not be confined; BERTH_OK if it could. */
    enum berth_code refused;
};

/** One plugin as its worker sees it. Embedded by the owner, who fills in the first part. */
struct worker_member {
    /**
     * A process runs, and it is the plugin's turn to start in it: those who share one start one after the
     * other when it is started again. worker_member_started must follow, unless the member leaves.
     */
    void (*on_process)(struct worker_member *member, uint64_t process);
    /** A packet with the plugin's number. */
    void (*on_packet)(struct worker_member *member, const struct packet *packet);
    /** A line that the process printed. */
    void (*on_line)(struct worker_member *member, const char *line);
    /** The sandbox has refused a system call, of whichever of its plugins. */
    void (*on_refused)(struct worker_member *member, int number);
    /** The process is gone, and with it all that the plugin had in it. The member may not leave here. */
    void (*on_ended)(struct worker_member *member, const struct worker_end *end);
    /**
     * What follows that: `delay_ms` until it is started again. The member may leave.
     * @param failure  why it is not started again; NULL: it is.
     */
    void (*on_decided)(struct worker_member *member, const char *failure, uint64_t delay_ms);
    /** The plugin has left, and its worker is gone if it was the last. */
    void (*on_left)(struct worker_member *member);
    /** What it wants; borrowed until it leaves. */
    const struct worker_wanted *wanted;
    struct crossing *crossing;

    /** NULL: it is in none. */
    struct worker *worker;
    /** The plugin's in the process; for as long as it is a member. */
    uint16_t number;
    /** It has been asked for a step, so that the loop of the process may stand still. */
    bool is_stepping;
};

/**
 * Joins the newest worker that is as wanted, or starts one. The crossing gets its channel and number.
 *
 * @param host         the plugin's.
 * @param ret_process  in which the plugin may start now; 0: on_process follows.
 * @return BERTH_OK; else no process could be started, and the member has joined nothing.
 */
enum berth_code worker_join(struct worker_member *member, const struct berth_host *host,
                            uint64_t *ret_process, struct berth_error *err);
/** The plugin runs in its process: the next one may start. */
void worker_member_started(struct worker_member *member);
/** The plugin is over in the process. on_left follows, perhaps before this returns. */
void worker_leave(struct worker_member *member);
/** Is nobody else in it? */
bool worker_is_alone(const struct worker_member *member);
/** Is there a process that can be told something? */
bool worker_runs(const struct worker_member *member);
/** Ends the process, for a fault of this plugin; the reason is told to all who share it. */
BERTH_PRINTF(2, 3)
void worker_kill(struct worker_member *member, const char *format, ...);
/** The plugin has work: its process is asked from time to time whether its loop turns. */
void worker_watch(struct worker_member *member);

/** Where berth-worker is: beside this program, or where it was installed. @return malloced. */
char *worker_find_program(void);

#endif
