/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon sends must not drive the terminal that shows it. */
#ifndef BERTHCTL_PRINTABLE_H
#define BERTHCTL_PRINTABLE_H

/** Turns control characters into spaces, in place. */
void printable_clean(char *text);

#endif
