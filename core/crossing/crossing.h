/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What crosses between the daemon and a worker, on the daemon's side: the calls that are forwarded, and what
 * the plugin says of itself, which goes through the host table of the plugin as if it had called it here.
 * All of it belongs to the loop's thread; times in nanoseconds are on the clock of uv_hrtime().
 */
#ifndef CORE_CROSSING_CROSSING_H
#define CORE_CROSSING_CROSSING_H

#include <berth/plugin.h>

#include <core/manifest/manifest.h>
#include <core/remote/remote.h>
#include <core/wire/channel.h>

#include "flood.h"
#include "forward.h"
#include "http.h"
#include "requests.h"
#include "used.h"

/** Readiness holds of one worker. */
#define CROSSING_HOLDS_MAX 64
/** Holds and publications of one worker that the daemon refuses, with a line in its log, before it ignores
 * all others. */
#define CROSSING_REFUSALS_MAX 64u
/** Reports and failures of a plugin that go on in one second. */
#define CROSSING_CONDITIONS 10u

struct crossing_metric;
struct crossing_series;
struct crossing_spans;

/** Embedded by the owner, who fills in the first part: it is borrowed. */
struct crossing {
    const struct manifest_plugin *plugin;
    struct channel *channel;
    /** The plugin's in the worker that the channel leads to. */
    uint16_t number;
    /** From the plugin's init until its close. */
    const struct berth_host *host;

    struct forward forward;
    struct http_forward http;
    struct requests requests;
    /** The plugin's, whose calls go to its worker. */
    struct berth_service **services;
    size_t service_count;
    struct {
        uint32_t number;
        struct berth_hold *hold;
    } holds[CROSSING_HOLDS_MAX];
    size_t hold_count;
    /** How many holds and publications of the present worker were refused. */
    unsigned refused;
    /** Reports and failures: how many have gone on since then, and the last one, if it is to go on later. */
    struct {
        uint64_t since_ns;
        unsigned count;
        bool is_waiting, is_failure;
        enum berth_code code;
        char message[BERTH_ERROR_MAX];
    } conditions;
    struct flood flood;
    /** Once a second, while there is anything to do. */
    uv_timer_t tick;
    uv_timer_cb on_tick;
    /** What the worker uses of other plugins. */
    struct used used;
    /** NULL before the first span. */
    struct crossing_spans *spans;
    /** The plugin has failed or is closing: what it has of tracing is dropped there by itself. */
    bool makes_no_spans;
    /** What it saves goes to the writer, and what it loads is asked for from here; see crossing_save. */
    struct {
        const struct berth_state_writer *writer;
        enum berth_code code;
        struct berth_error error;
        const uint8_t *bytes;
        size_t left;
    } state;
    /** Calls of interfaces. What it lists under `remote`, ended by NULL: without stubs, which are in its
     * worker. */
    struct remote_wire remote;
    struct berth_remote *remotes;
    const struct berth_remote **remote_list;
    /** Changes of stores that have not ended, those of earlier workers included. */
    size_t changes;
    /** The name of its bucket, and how those below begin; "": of all; NULL: the plugin's URI. Borrowed. */
    const char *store_prefix;
    /** A change has ended: a close may have waited for it. */
    void (*on_change_ended)(struct crossing *crossing);
    /** Of all its workers, until its close. */
    struct crossing_metric *metrics;
    size_t metric_count;
    struct crossing_series *series;
    size_t series_count;
    void (*on_closed)(struct crossing *crossing);
    bool is_closing;
};

/** The first part is filled in. Aborts without memory. */
void crossing_init(struct crossing *crossing);
/** No call is in flight. */
void crossing_finish(struct crossing *crossing);
/** The plugin's init begins: starts the handles. */
void crossing_open(struct crossing *crossing, uv_loop_t *loop);
/** The last worker is gone. on_closed follows from the loop, once nothing of the daemon is in use for it. */
void crossing_close(struct crossing *crossing, void (*on_closed)(struct crossing *crossing));
/** Logs a line of the worker, unless it logs more than flood.h allows. */
void crossing_log(struct crossing *crossing, enum berth_log_level level, const char *prefix,
                  const char *text);
/** The plugin's init begins, with this host; NULL: its close has ended. */
void crossing_begin(struct crossing *crossing, const struct berth_host *host);
/** Has the worker anything to do for others? */
static inline bool crossing_is_busy(const struct crossing *crossing)
{
    return crossing->forward.remotes.count > 0 || crossing->http.remotes.count > 0 ||
           crossing->remote.calls.count > 0;
}
/** Takes one packet of the plugin; breaks the channel if it is of a kind that a worker does not send. */
void crossing_take(struct crossing *crossing, const struct packet *packet);
/** The plugin's close begins: other plugins drop what they keep of it. */
void crossing_begin_close(struct crossing *crossing);
/** The worker is to save its state: what it sends until crossing_end_state goes to this writer. Borrowed. */
void crossing_save(struct crossing *crossing, const struct berth_state_writer *writer);
/** The worker is to load this state, which is borrowed until crossing_end_state. */
void crossing_load(struct crossing *crossing, const void *bytes, size_t length);
/** That has ended. @return why not all of it was taken; then with `*ret_message`, until the next of these. */
enum berth_code crossing_end_state(struct crossing *crossing, const char **ret_message);
/** The worker is gone: gives back what it had of the daemon. The host is still there. */
void crossing_end(struct crossing *crossing);

#endif
