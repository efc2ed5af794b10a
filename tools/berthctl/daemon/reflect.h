/* SPDX-License-Identifier: Apache-2.0 */
/* What a server says of its services and their messages, by reflection; or what a file says instead. */
#ifndef BERTHCTL_DAEMON_REFLECT_H
#define BERTHCTL_DAEMON_REFLECT_H

#include <stdbool.h>
#include <stddef.h>

#include <berth/json.h>

#include "client.h"

struct reflect {
    const struct client *client;
    /** What has been learnt so far. */
    struct berth_json_types *types;
    /** NULL: the server is asked. */
    const char *protoset;
    /** The server has grpc.reflection.v1alpha only. */
    bool is_alpha;
    /** The server was reached: what failed is what it answered, such as that the plugin of a service is
     * stopped. */
    bool has_answered_error;
    /** Names of the files that are known or cannot be had. */
    char **files;
    size_t file_count;
};

/**
 * @param protoset  a file with a FileDescriptorSet; NULL: ask the server.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT if the file cannot be used; BERTH_UNAVAILABLE without libprotobuf.
 */
enum berth_code reflect_begin(struct reflect *reflect, const struct client *client, const char *protoset,
                              struct berth_error *err);
/** Also after reflect_begin has failed. */
void reflect_finish(struct reflect *reflect);

/** Names of services, sorted. */
struct reflect_names {
    char **names;
    size_t count;
};

/** @return as the next; `ret_names` is finished by the caller. */
enum berth_code reflect_services(struct reflect *reflect, struct reflect_names *ret_names,
                                 struct berth_error *err);
void reflect_names_finish(struct reflect_names *names);

/**
 * Learns the file that defines a service, method, message or enum, with all that it imports.
 *
 * @return BERTH_OK; BERTH_NOT_FOUND; BERTH_UNIMPLEMENTED if the server has no reflection; BERTH_UNAVAILABLE
 *         if it cannot be reached; BERTH_INTERNAL for an invalid response; any other code of the server.
 */
enum berth_code reflect_learn(struct reflect *reflect, const char *symbol, struct berth_error *err);

/**
 * The full name of a service: `name` itself, or if there is none, the only service whose name ends with a dot
 * and it. What it defines is learnt.
 *
 * @param ret_name  malloced.
 * @return as reflect_learn; BERTH_NOT_FOUND with the nearest name, or all candidates.
 */
enum berth_code reflect_find_service(struct reflect *reflect, const char *name, char **ret_name,
                                     struct berth_error *err);

#endif
