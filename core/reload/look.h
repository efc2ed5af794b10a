/* SPDX-License-Identifier: Apache-2.0 */
/* What is wanted now: configuration and directories, read again. Only the files of this room include it. */
#ifndef CORE_RELOAD_LOOK_H
#define CORE_RELOAD_LOOK_H

#include "asked.h"

/**
 * Takes `asked->survey`, with the files that are held back, and plans it without what stays stopped. Reads
 * files, and blocks meanwhile.
 *
 * @return could the daemon start with what it finds? If not, the problems of the report say why.
 */
bool look_again(struct reload *reload, struct asked *asked);

#endif
