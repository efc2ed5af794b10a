/* SPDX-License-Identifier: Apache-2.0 */
/* Where the daemon listens when nobody says otherwise. */
#ifndef BERTHCTL_ADDRESS_H
#define BERTHCTL_ADDRESS_H

/** $BERTH_ADDRESS, else the default of root's or the user's own daemon. Malloced. */
char *address_find(void);

#endif
