/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the daemon listens when nobody says otherwise, and why it cannot be reached, as far as its socket
 * tells.
 */
#ifndef BERTHCTL_DAEMON_ADDRESS_H
#define BERTHCTL_DAEMON_ADDRESS_H

/** $BERTH_ADDRESS, else the default of root's or the user's own daemon. Malloced. */
char *address_find(void);

enum reach {
    /** No socket is there, or nobody listens at it. */
    REACH_NOBODY,
    /** Somebody may, and this user may not. */
    REACH_FORBIDDEN,
    /** It can be reached, or nothing is known. */
    REACH_UNKNOWN,
};

/** Looks at the unix socket that an address of berthctl's names; of any other address nothing is known. */
enum reach reach_look(const char *address);

#endif
