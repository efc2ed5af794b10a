/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change that somebody has asked for, while it is done, and the queue of all. Only the files of this room
 * include it.
 */
#ifndef CORE_RELOAD_ASKED_H
#define CORE_RELOAD_ASKED_H

#include <sys/queue.h>

#include <config/tree/arena.h>
#include <core/change/change.h>

#include "reload.h"
#include "rollback.h"
#include "surveys.h"

/** What ran of a plugin that gets another file. */
struct asked_replaced {
    /** In the memory of the change. */
    const char *uri;
    /** Held. */
    struct original *original;
};

/** A change that was asked for, until its report is forgotten. */
struct asked {
    TAILQ_ENTRY(asked) link;
    struct reload *reload;
    struct perform_request perform;
    struct berth_change_request request;
    /** Where `request.start` points; in the memory of the change. */
    struct berth_change_start start;
    struct berth_change_report report;
    bool is_done;
    /** Once its turn has come: what the daemon ran by, what is wanted, and the comparison. */
    struct survey *before, *survey;
    /** Could the daemon start with that survey? If not, the problems of the report say why. */
    bool is_good;
    /** Why it cannot even be compared. */
    enum berth_code code;
    struct berth_error err;
    struct change *change;
    /** What undoes it, where it is atomic and has failed. */
    struct change *back;
    /** When its turn came, on the clock of uv_hrtime(). */
    uint64_t begun_ns;
    /** Who stays stopped once it is done, and who did when its turn came. */
    struct berth_strings stopped, stopped_before;
    /** The files that are held back once it is done. */
    struct rollback_pins pins;
    /** The files that later starts keep to by this change. */
    struct berth_strings kept;
    /** What ran of each plugin that gets another file. */
    struct asked_replaced *replaced;
    size_t replaced_count;
    /** Why the content to go back to may not run; or NULL. */
    const char *refusal;
    /** Of the subjects and the report. */
    struct berth_arena arena;
    LIST_HEAD(, berth_change_wait) waits;
};

/** In the order of their numbers. */
TAILQ_HEAD(asked_list, asked);

struct look;

/** Everything here belongs to the loop's thread. */
struct reload {
    struct reload_options options;
    /** Runs at the top of the loop. */
    uv_idle_t turn;
    /** Active while somebody waits. */
    uv_timer_t patience;
    uint64_t last_number;
    /** Whoever reads configuration and files at present, and how its thread tells that it has; or NULL. */
    struct look *look;
    uv_async_t looked;
    /** In the order of their numbers: those that are done, the oldest first, then the others. */
    struct asked_list all;
    size_t waiting, kept;
    /** NULL until all has served, and once it stops. */
    struct perform *perform;
    bool is_stopping;
    /** All that generations are from. */
    struct surveys surveys;
    /** Plugins that stay stopped until somebody starts them. */
    char **stopped;
    size_t stopped_count;
    struct rollback rollback;
    /** The daemon's folder, as it was started with. */
    char *root;
};

/**
 * Copies into the memory of `asked`, for as long as its report is kept. Aborts when out of memory.
 *
 * @param text  may be NULL, and then so is the copy.
 */
const char *asked_copy_text(struct asked *asked, const char *text);
/** The same for the array too. */
struct berth_strings asked_copy_texts(struct asked *asked, const char *const *texts, size_t count);

/** Copies a request, whatever the size of what a plugin was built with, into the memory of `asked`. */
void asked_copy_request(struct asked *asked, const struct berth_change_request *request);
/** @param name  a URI, or the path of a file, as the request has it. */
bool asked_has_subject(const struct asked *asked, const char *name);
/** Does it read configuration and files again? The others only have another plan. */
bool asked_reads_files(const struct asked *asked);
/** Is all undone if a part of it fails? */
bool asked_is_all_or_nothing(const struct asked *asked);

#endif
