/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets that the plugin under test listens on: opened as a host does, kept by address until the end. */
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/address.h>

#include <sdk/base/tcp_socket.h>

static void close_socket(struct fake_socket *kept)
{
    LIST_REMOVE(kept, link);
    close(kept->fd);
    if (kept->is_unix)
        unix_socket_release(&kept->place);
    free(kept->address);
    free(kept);
}

static struct fake_socket *find(struct berth_testing *testing, const char *address)
{
    struct fake_socket *kept;

    LIST_FOREACH(kept, &testing->sockets, link)
    if (strcmp(kept->address, address) == 0)
        return kept;
    return NULL;
}

static enum berth_code open_unix(const struct berth_listen *request, struct fake_socket *kept,
                                 struct berth_error *err)
{
    const struct unix_socket_options options = {
        .path = berth_address_skip_scheme(request->address, "unix:"),
        .backlog = (int)request->backlog,
        .mode = (mode_t)request->mode,
        .set_owner = request->set_owner,
        .uid = (uid_t)request->uid,
        .gid = (gid_t)request->gid,
    };

    if (kept->address != NULL)
        return unix_socket_dress(&kept->place, &options, err);
    return unix_socket_claim(&kept->place, &options, &kept->fd, err);
}

static enum berth_code open_tcp(const struct berth_listen *request, struct fake_socket *kept,
                                struct berth_error *err)
{
    struct berth_address address;
    enum berth_code code;

    if (kept->address != NULL)
        return BERTH_OK;
    code = berth_address_parse_listener(request->address, &address, err);
    if (code != BERTH_OK)
        return code;
    return tcp_socket_listen(&address.ip, request->address, (int)request->backlog, &kept->fd, err);
}

enum berth_code fake_listen(struct berth_testing *testing, const struct berth_listen *given, int *ret_fd,
                            struct berth_error *err)
{
    struct berth_listen request = {0};
    struct fake_socket *kept;
    enum berth_code code;
    bool is_new;

    memcpy(&request, given, given->size < sizeof(request) ? given->size : sizeof(request));
    if (request.address == NULL || request.address[0] == '\0')
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "cannot listen: the address is empty");
    kept = find(testing, request.address);
    is_new = kept == NULL;
    if (is_new)
        kept = memory_allocate(1, sizeof(*kept));
    kept->is_unix = berth_address_is_path(request.address);
    code = kept->is_unix ? open_unix(&request, kept, err) : open_tcp(&request, kept, err);
    if (code != BERTH_OK) {
        if (is_new)
            free(kept);
        return code;
    }
    if (is_new) {
        kept->address = memory_copy(request.address);
        LIST_INSERT_HEAD(&testing->sockets, kept, link);
    }
    if (ret_fd == NULL)
        return BERTH_OK;
    *ret_fd = fcntl(kept->fd, F_DUPFD_CLOEXEC, 0);
    return *ret_fd >= 0 ? BERTH_OK
                        : berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot listen on %s: %s",
                                          request.address, strerror(errno));
}

void fake_unlisten(struct berth_testing *testing, const char *address)
{
    struct fake_socket *kept = address != NULL ? find(testing, address) : NULL;

    if (kept != NULL)
        close_socket(kept);
}

void fake_listen_finish(struct berth_testing *testing)
{
    while (!LIST_EMPTY(&testing->sockets))
        close_socket(LIST_FIRST(&testing->sockets));
}
