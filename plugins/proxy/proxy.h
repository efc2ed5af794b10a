/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One server behind a socket. From below: program.c starts it and watches it, health.c asks whether it
 * answers, forward.c passes calls on to it, and plugin.c is the life of all that.
 *
 *     caller ─router─▶ forward ─channel─▶ server        health ─channel─▶ grpc.health.v1
 *                                          ▲ program (only with `command`)
 */
#ifndef PLUGINS_PROXY_PROXY_H
#define PLUGINS_PROXY_PROXY_H

#include <stdbool.h>
#include <sys/queue.h>

#include <berth/plugin.h>
#include <berth/rpc/client.h>
#include <berth/types/metrics.h>

#include "proxy-plugin.h"

#define REASON_MAX 512

struct program;

struct proxy {
    const struct berth_host *host;
    /** Of plugin.c: what was found out. `reason` is for people; NULL: the server answers. */
    void (*take_state)(struct proxy *proxy, const char *reason);
    /** Of plugin.c: gives up the channel, and with it its back-off, for one that connects at once. */
    void (*reconnect)(struct proxy *proxy);
    struct proxy_config config;
    /** Where the server listens. */
    char *address;
    struct berth_rpc_channel *channel;

    /** What is known of the server. */
    bool is_connected;
    char reason[REASON_MAX];

    /** Asking for its health. */
    uv_timer_t timer;
    struct berth_rpc_call *probe;
    uint64_t probe_start_ns, retry_ms;
    bool is_not_serving;

    /** Metrics; NULL without io.berth.metrics.v1. */
    struct berth_series *connected, *latency, *starts;

    struct program *program;
    /** What confines it: to be run instead, with this as descriptor 3. NULL: nothing does. */
    const char *launcher;
    int launcher_input;
    /** It does not run, and `reason` says why: that it cannot be reached is no news. */
    bool is_program_down;
    /** Init is pending until the server answers, or `patience_ns` is over. */
    bool is_starting, is_closing;
    uint64_t patience_ns;
    /** Until all are closed; former channels count at any time. */
    unsigned open_handles;
};

/** The services' table: all that the configuration names. */
extern const struct berth_service forward_service;

/** Asks at once, and from then on again and again. */
void health_start(struct proxy *proxy);
/** The server may have come: asks soon, and often at first. */
void health_restart(struct proxy *proxy);
/** Something suggests that the server has gone or come: asks soon. */
void health_hurry(struct proxy *proxy);

/**
 * Starts the program and keeps it running as the configuration says.
 *
 * @return BERTH_OK, also if it has exited meanwhile; else why it cannot be started at all.
 */
enum berth_code program_create(struct proxy *proxy, struct program **ret_program, struct berth_error *err);
/** Ends it, and frees everything; `on_gone` follows from the loop. */
void program_stop(struct program *program, void (*on_gone)(struct proxy *proxy));
/** Has it been given up? */
bool program_has_failed(const struct program *program);

#endif
