/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_BASE_SIGNAL_NAME_H
#define CORE_BASE_SIGNAL_NAME_H

/** "SIGSEGV"; "a signal" for one that neither ends nor informs the daemon. Async-signal-safe. */
const char *signal_name(int number);

#endif
