/* SPDX-License-Identifier: Apache-2.0 */
/*
 * berth-worker: runs isolated plugins. Started by berthd with a connection as descriptor 3; its first packet
 * says how to close the sandbox, and each of those that follow names a plugin to load and to run in it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "process.h"

#define CONNECTION 3
/* Where the kernel's questions about refused system calls go. */
#define REPORT 4

/* The whole first packet, which lives as long as the process. Waits for it. */
static bool receive(struct packet *ret_packet)
{
    size_t capacity = PACKET_HEAD, length = 0;
    uint8_t *bytes = malloc(capacity);

    while (bytes != NULL) {
        size_t needed;
        enum packet_parsed parsed = packet_parse(bytes, length, ret_packet, &needed);
        ssize_t got;

        if (parsed != PACKET_PARTIAL)
            return parsed == PACKET_WHOLE;
        if (needed > capacity) {
            uint8_t *larger = realloc(bytes, needed);

            if (larger == NULL)
                break;
            bytes = larger;
            capacity = needed;
        }
        got = recv(CONNECTION, bytes + length, needed - length, 0);
        if (got <= 0 && errno != EINTR)
            break;
        length += got > 0 ? (size_t)got : 0;
    }
    free(bytes);
    return false;
}

/* The daemon decides when it ends. A service manager or a terminal signals both, and the daemon closes it
 * then. */
static void ignore_signals(void)
{
    static const int ignored[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};

    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
}

int main(int argc, char **argv)
{
    static struct worker_start start;
    struct berth_error error = {.message = ""};
    struct packet packet;
    enum berth_code code;

    if (argc != 1) {
        fprintf(stderr, "%s: started by berthd to run isolated plugins; it takes no arguments\n", argv[0]);
        return 2;
    }
    ignore_signals();
    if (!receive(&packet) || !worker_start_read(&packet, &start)) {
        fprintf(stderr, "berth-worker: started by berthd of the same version, not by hand\n");
        return 2;
    }
    code = sandbox_apply(&start.sandbox, &start.kernel, (pid_t)start.daemon_pid,
                         fcntl(REPORT, F_GETFD) >= 0 ? REPORT : -1, &error);
    if (code != BERTH_OK)
        process_refuse(CONNECTION, code, error.message);
    /* Third-party code runs from here on: constructors first. */
    process_run(CONNECTION, &start);
}
