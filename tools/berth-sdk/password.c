/* SPDX-License-Identifier: Apache-2.0 */
/* Asks for a password, or takes it from a file. */
#include "password.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <berth/signature.h>

#include <sdk/base/error_code.h>

/* A byte at a time: what follows the line is not ours. */
static enum berth_code read_line(int fd, const char *name, char ret_password[PASSWORD_MAX],
                                 struct berth_error *err)
{
    size_t length = 0;
    ssize_t count;
    char byte;

    while ((count = TEMP_FAILURE_RETRY(read(fd, &byte, 1))) == 1 && byte != '\n') {
        if (length == PASSWORD_MAX - 1)
            return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: the password has more than %d bytes",
                                   name, PASSWORD_MAX - 1);
        ret_password[length++] = byte;
    }
    if (count < 0)
        return berth_error_set(err, berth_code_of_errno(errno, BERTH_INTERNAL), "%s: cannot be read: %s",
                               name, strerror(errno));
    if (length > 0 && ret_password[length - 1] == '\r')
        length--;
    ret_password[length] = '\0';
    return BERTH_OK;
}

static enum berth_code ask(const char *prompt, char ret_password[PASSWORD_MAX], struct berth_error *err)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    struct termios before, silent;
    enum berth_code code;

    if (fd < 0 || tcgetattr(fd, &before) != 0) {
        if (fd >= 0)
            close(fd);
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "the key is protected by a password, but there is no terminal to prompt on: "
                               "use --password-file");
    }
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    dprintf(fd, "%s", prompt);
    tcsetattr(fd, TCSAFLUSH, &silent);
    code = read_line(fd, "/dev/tty", ret_password, err);
    tcsetattr(fd, TCSAFLUSH, &before);
    dprintf(fd, "\n");
    close(fd);
    return code;
}

enum berth_code password_read(const char *prompt, const char *file, char ret_password[PASSWORD_MAX],
                              struct berth_error *err)
{
    enum berth_code code;
    int fd;

    if (file == NULL)
        return ask(prompt, ret_password, err);
    if (strcmp(file, "-") == 0)
        return read_line(STDIN_FILENO, "standard input", ret_password, err);
    fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return berth_error_set(err, berth_code_of_errno(errno, BERTH_INVALID_ARGUMENT),
                               "%s: cannot be opened: %s", file, strerror(errno));
    code = read_line(fd, file, ret_password, err);
    close(fd);
    return code;
}
