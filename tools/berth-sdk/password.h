/* SPDX-License-Identifier: Apache-2.0 */
/* The password of a secret key, from the terminal or from a file. */
#ifndef BERTH_SDK_PASSWORD_H
#define BERTH_SDK_PASSWORD_H

#include <berth/error.h>

/** minisign's own limit, the NUL included. */
#define PASSWORD_MAX 1024

/**
 * Reads a password: one line of the terminal, without echo, or the first line of a file.
 *
 * @param prompt  what the terminal asks: "Password for hello.key: ".
 * @param file    NULL: the terminal; "-": standard input.
 * @param ret_password  to be wiped by the caller.
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION without a terminal; BERTH_INVALID_ARGUMENT if it is too long.
 */
enum berth_code password_read(const char *prompt, const char *file, char ret_password[PASSWORD_MAX],
                              struct berth_error *err);

#endif
