/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the sockets that the service manager passes; trusts neither their number nor their kind. */
#include "inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <core/base/log.h>
#include <sdk/base/memory.h>
#include <sdk/base/tcp_socket.h>

/* The first one, by the protocol. */
#define FIRST_FD 3

/* Descriptors that are refused with a log line of their own. */
#define REFUSALS_MAX 16

static bool parse_number(const char *text, uint64_t *ret_number)
{
    uint64_t number;
    char *end;

    if (text == NULL || text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    number = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0')
        return false;
    *ret_number = number;
    return true;
}

/* The parent of a daemon that runs as process 1 only reaps: what was meant for it is for its child. */
static bool is_for_us(const char *pid)
{
    uint64_t number;

    if (!parse_number(pid, &number))
        return false;
    return number == (uint64_t)getpid() || (number == 1 && getppid() == 1);
}

static bool describe(struct inherited *inherited)
{
    struct sockaddr_storage address = {0};
    const struct sockaddr_un *local = (const struct sockaddr_un *)&address;
    socklen_t length = sizeof(address);
    int most;

    if (getsockname(inherited->fd, (struct sockaddr *)&address, &length) != 0)
        return false;
    inherited->is_unix = address.ss_family == AF_UNIX;
    if (!inherited->is_unix) {
        tcp_address_format(&address, inherited->address);
        return inherited->address[0] != '\0';
    }
    most = length > offsetof(struct sockaddr_un, sun_path)
               ? (int)(length - offsetof(struct sockaddr_un, sun_path))
               : 0;
    if (most > 0 && local->sun_path[0] == '\0')
        snprintf(inherited->address, sizeof(inherited->address), "@%.*s", most - 1, local->sun_path + 1);
    else
        snprintf(inherited->address, sizeof(inherited->address), "%.*s", most, local->sun_path);
    return true;
}

/* @return NULL, or what is wrong with it. */
static const char *check(struct inherited *inherited)
{
    int value = 0;
    socklen_t length = sizeof(value);
    int flags = fcntl(inherited->fd, F_GETFL);

    if (getsockopt(inherited->fd, SOL_SOCKET, SO_TYPE, &value, &length) != 0)
        return "it is not a socket";
    if (value != SOCK_STREAM)
        return "it is not a stream socket; use ListenStream= in the socket unit";
    if (getsockopt(inherited->fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) != 0 || value == 0)
        return "it is not listening; set Accept=no in the socket unit";
    if (!describe(inherited))
        return "it is neither a unix nor a TCP socket";
    if (flags < 0 || fcntl(inherited->fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return "it cannot be made non-blocking";
    return NULL;
}

/* The next of names that are separated by colons. */
static const char *take_name(const char *names, char ret_name[INHERITED_NAME_MAX])
{
    size_t length = strcspn(names, ":");

    snprintf(ret_name, INHERITED_NAME_MAX, "%.*s", (int)(length < INHERITED_NAME_MAX ? length : 0), names);
    return names[length] == ':' ? names + length + 1 : names + length;
}

/* How many the service manager says it has passed to this process. */
static uint64_t take_number(void)
{
    const char *text = getenv("LISTEN_FDS");
    uint64_t number = 0;

    if (is_for_us(getenv("LISTEN_PID")) && text != NULL && !parse_number(text, &number))
        log_line(BERTH_LOG_WARN, "ignoring LISTEN_FDS: \"%s\" is not a number", text);
    return number;
}

/* The first few are named, however many there are. */
static void refuse(const struct inherited *inherited, const char *problem, size_t refused)
{
    close(inherited->fd);
    if (refused < REFUSALS_MAX)
        log_line(BERTH_LOG_WARN, "closing descriptor %d (%s) from the service manager: %s", inherited->fd,
                 inherited->name[0] != '\0' ? inherited->name : "without a name", problem);
}

size_t inherited_take(struct inherited **ret_sockets)
{
    const char *names = getenv("LISTEN_FDNAMES");
    struct inherited *sockets = NULL;
    size_t count = 0, refused = 0;
    uint64_t number = take_number();

    if (names == NULL)
        names = "";
    for (uint64_t i = 0; i < number; i++) {
        struct inherited next = {.fd = FIRST_FD + (int)i};
        const char *problem;

        /* Ends a number that is far too large, whatever it is. */
        if (i > INT32_MAX - FIRST_FD || fcntl(next.fd, F_SETFD, FD_CLOEXEC) != 0) {
            log_line(BERTH_LOG_WARN, "LISTEN_FDS is %" PRIu64 ", but descriptor %d is not open", number,
                     next.fd);
            break;
        }
        names = take_name(names, next.name);
        problem = count < INHERITED_MAX ? check(&next) : "too many sockets were passed";
        if (problem == NULL) {
            sockets = memory_grow(sockets, count, sizeof(*sockets));
            sockets[count++] = next;
        } else {
            refuse(&next, problem, refused++);
        }
    }
    if (refused > REFUSALS_MAX)
        log_line(BERTH_LOG_WARN, "closed %zu more descriptors from the service manager",
                 refused - REFUSALS_MAX);
    inherited_hide();
    *ret_sockets = sockets;
    return count;
}

void inherited_hide(void)
{
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    unsetenv("FDSTORE");
}
