/* SPDX-License-Identifier: Apache-2.0 */
/* Connects to a host by name or address: resolves the name, then tries each address. */
#include "dial.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void try_next(struct dial *dial);

static void finish(struct dial *dial)
{
    int fd = dial->is_cancelled ? -1 : dial->fd;

    if (dial->is_cancelled && dial->fd >= 0)
        close(dial->fd);
    if (dial->found != NULL)
        uv_freeaddrinfo(dial->found);
    dial->found = NULL;
    dial->on_done(dial, fd, dial->reason);
}

static void note_failure(struct dial *dial, int error)
{
    struct sockaddr_storage address = {0};
    char text[TCP_ADDRESS_MAX];

    memcpy(&address, dial->next->ai_addr, dial->next->ai_addrlen);
    tcp_address_format(&address, text);
    snprintf(dial->reason, sizeof(dial->reason), "%s: %s", text, uv_strerror(error));
    dial->next = dial->next->ai_next;
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct dial *dial = handle->data;

    dial->is_polling = false;
    if (dial->is_cancelled || dial->error == 0) {
        finish(dial);
        return;
    }
    close(dial->fd);
    dial->fd = -1;
    note_failure(dial, dial->error);
    try_next(dial);
}

static void stop_polling(struct dial *dial)
{
    if (!uv_is_closing((uv_handle_t *)&dial->poll))
        uv_close((uv_handle_t *)&dial->poll, on_poll_closed);
}

static void on_answer(uv_poll_t *poll, int status, int events)
{
    struct dial *dial = poll->data;
    int error = 0;
    socklen_t length = sizeof(error);

    (void)events;
    if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        error = errno;
    dial->error = error != 0 ? uv_translate_sys_error(error) : status < 0 ? status : 0;
    stop_polling(dial);
}

/* @return 0 if an answer is awaited, otherwise a libuv error. */
static int try_address(struct dial *dial, const struct addrinfo *address)
{
    int result;

    dial->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (dial->fd < 0)
        return uv_translate_sys_error(errno);
    if (connect(dial->fd, address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS)
        result = uv_translate_sys_error(errno);
    else
        result = uv_poll_init_socket(dial->loop, &dial->poll, dial->fd);
    if (result < 0) {
        close(dial->fd);
        dial->fd = -1;
        return result;
    }
    dial->is_polling = true;
    dial->poll.data = dial;
    uv_poll_start(&dial->poll, UV_WRITABLE, on_answer);
    return 0;
}

static void try_next(struct dial *dial)
{
    while (dial->next != NULL) {
        int result = try_address(dial, dial->next);

        if (result == 0)
            return;
        note_failure(dial, result);
    }
    finish(dial);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct dial *dial = request->data;

    dial->is_resolving = false;
    dial->found = found;
    dial->next = found;
    if (status < 0)
        snprintf(dial->reason, sizeof(dial->reason), "cannot resolve the name: %s", uv_strerror(status));
    if (status < 0 || dial->is_cancelled)
        finish(dial);
    else
        try_next(dial);
}

int dial_start(struct dial *dial, uv_loop_t *loop, const char *host, uint16_t port)
{
    const struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP, .ai_flags = AI_NUMERICSERV};
    char service[8];
    int result;

    snprintf(service, sizeof(service), "%u", port);
    dial->loop = loop;
    dial->fd = -1;
    dial->resolve.data = dial;
    result = uv_getaddrinfo(dial->loop, &dial->resolve, on_resolved, host, service, &hints);
    dial->is_resolving = result == 0;
    return result;
}

void dial_cancel(struct dial *dial)
{
    dial->is_cancelled = true;
    if (dial->is_resolving)
        uv_cancel((uv_req_t *)&dial->resolve);
    else if (dial->is_polling)
        stop_polling(dial);
}
