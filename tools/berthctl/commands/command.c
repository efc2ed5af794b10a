/* SPDX-License-Identifier: Apache-2.0 */
/* What berthctl's commands share: failed calls explained. */
#include "command.h"

#include <stdio.h>
#include <string.h>

#include <tools/berthctl/daemon/address.h>

static const char *advice(const char *address)
{
    switch (reach_look(address)) {
    case REACH_NOBODY:
        return "Is berthd running? Name its socket with --address or BERTH_ADDRESS.\n";
    case REACH_FORBIDDEN:
        return "Permission denied on that socket: run berthctl as its owner or group (uid, gid and mode of "
               "io.containerd.server.v1.grpc).\n";
    case REACH_UNKNOWN:
        break;
    }
    return "";
}

int command_fail(const struct command_options *options, enum berth_code code, const struct berth_error *err)
{
    const char *address = options->client.address;

    if (code == BERTH_UNAVAILABLE || code == BERTH_DEADLINE_EXCEEDED) {
        bool is_named = strstr(err->message, address) != NULL;

        fprintf(stderr, "berthctl: cannot reach the daemon%s%s: %s\n%s", is_named ? "" : " at ",
                is_named ? "" : address, err->message, advice(address));
        return COMMAND_EXIT_UNREACHABLE;
    }
    if (code == BERTH_INVALID_ARGUMENT) {
        fprintf(stderr, "berthctl: %s\n", err->message);
        return COMMAND_EXIT_USAGE;
    }
    if (code == BERTH_UNIMPLEMENTED)
        fprintf(stderr, "berthctl: the server at %s does not support this: %s\n", address, err->message);
    else
        fprintf(stderr, "berthctl: the daemon at %s returned %s: %s\n", address, berth_code_name(code),
                err->message);
    return COMMAND_EXIT_BAD_NEWS;
}
