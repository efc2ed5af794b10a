/* SPDX-License-Identifier: Apache-2.0 */
/* What berth_inspect tells, as JSON, in the shapes of `berthctl ... --json`. */
#ifndef PAGE_REPORT_H
#define PAGE_REPORT_H

#include <berth/plugin.h>

#include <berth/json_writer.h>

/**
 * As an item of `berthctl plugins ls --all --json`, but without edges to "*", which stands for everybody
 * before it in the order.
 */
void report_plugin(struct berth_json_writer *json, const struct berth_plugin_info *plugin);

/** As `berthctl status --json`, and what else is known of the daemon. */
void report_status(struct berth_json_writer *json, const struct berth_inspect *inspect);

/** As the member "daemon" of `berthctl top --json`. */
void report_daemon_costs(struct berth_json_writer *json, const char *key,
                         const struct berth_inspect *inspect);
/** As an item of "plugins" there, without its state and steps. */
void report_costs(struct berth_json_writer *json, const struct berth_plugin_costs *costs);

/**
 * As the members `settings` and `more_settings` of `berthctl plugins inspect --json`; at most
 * REPORT_SETTINGS_MAX of them. None of a section that waits for its migration. @return false: no such plugin.
 */
bool report_settings(struct berth_json_writer *json, const struct berth_inspect *inspect, const char *uri);

#define REPORT_SETTINGS_MAX 1000

/** As `berthctl connections --json`; at most REPORT_CONNECTIONS_MAX of them. */
void report_connections(struct berth_json_writer *json, const struct berth_inspect *inspect);

#define REPORT_CONNECTIONS_MAX 1000

#endif
