/* SPDX-License-Identifier: Apache-2.0 */
/* A client of an HTTP server in the fake host. */
#ifndef HTTP_STAGE_H
#define HTTP_STAGE_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "plugin_stage.h"

/* To the address that the plugin has published. */
static inline int connect_to(struct berth_testing *testing)
{
    const char *address = berth_testing_export(testing, "address");
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in remote = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const char *colon = strrchr(address, ':');
    int fd = socket(colon != NULL ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (colon != NULL)
        remote.sin_port = htons((uint16_t)atoi(colon + 1));
    else
        snprintf(local.sun_path, sizeof(local.sun_path), "%s", address);
    assert_int_equal(connect(fd, colon != NULL ? (struct sockaddr *)&remote : (struct sockaddr *)&local,
                             colon != NULL ? sizeof(remote) : sizeof(local)),
                     0);
    return fd;
}

static inline void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

struct answer {
    int fd;
    const char *wanted;
    size_t length;
    bool has_ended;
    char text[16 * 1024];
};

static inline bool is_there(void *context)
{
    struct answer *answer = context;
    ssize_t length = recv(answer->fd, answer->text + answer->length,
                          sizeof(answer->text) - 1 - answer->length, MSG_DONTWAIT);

    answer->has_ended = length == 0 || (length < 0 && errno != EAGAIN);
    if (length > 0)
        answer->length += (size_t)length;
    answer->text[answer->length] = '\0';
    return answer->has_ended || (answer->wanted != NULL && strstr(answer->text, answer->wanted) != NULL);
}

/* Reads until the text has come; NULL: until the end. */
static inline const char *await_text(struct berth_testing *testing, int fd, const char *wanted)
{
    static struct answer answer;

    answer = (struct answer){.fd = fd, .wanted = wanted};
    if (!berth_testing_run_until(testing, is_there, &answer) ||
        (wanted != NULL && strstr(answer.text, wanted) == NULL))
        fail_msg("\"%s\" is not in \"%s\"", wanted != NULL ? wanted : "the end", answer.text);
    return answer.text;
}

/* One request on a connection of its own that it ends. */
static inline const char *ask(struct berth_testing *testing, const char *request)
{
    int fd = connect_to(testing);
    const char *text;
    char head[1024];

    snprintf(head, sizeof(head), "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", request);
    say(fd, head);
    text = await_text(testing, fd, NULL);
    close(fd);
    return text;
}

#endif
