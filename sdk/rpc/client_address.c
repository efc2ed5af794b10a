/* SPDX-License-Identifier: Apache-2.0 */
/* The address of a channel: a unix socket's path, or a host and a port. */
#include "client_address.h"

#include <string.h>
#include <sys/un.h>

static enum berth_code parse_path(const char *text, struct client_address *ret_address,
                                  struct berth_error *err)
{
    const size_t longest = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    const char *path = text;

    if (strncmp(path, "unix:", 5) == 0)
        path += 5;
    if (strncmp(path, "//", 2) == 0)
        path += 2;
    if (path[0] == '\0' || strlen(path) > longest)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%.256s: a socket's path has 1 to %zu bytes, and this has %zu", text, longest,
                               strlen(path));
    *ret_address = (struct client_address){.path = path};
    return BERTH_OK;
}

/* "127.0.0.1:50051": a socket of such a name is in no usual place. */
static bool is_target_without_scheme(const char *text)
{
    const char *colon = strrchr(text, ':');

    return strncmp(text, "unix:", 5) != 0 && strchr(text, '/') == NULL && colon != NULL && colon > text &&
           colon[1] != '\0' && colon[1 + strspn(colon + 1, "0123456789")] == '\0';
}

enum berth_code client_address_parse(const char *text, struct client_address *ret_address,
                                     struct berth_error *err)
{
    struct client_address address = {0};
    enum berth_code code;

    if (text == NULL || text[0] == '\0')
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "the address is empty (try /run/berth/berth.sock)");
    if (strncmp(text, "tcp:", 4) != 0 && is_target_without_scheme(text))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%.256s: a host and a port are written tcp:%.256s, and a socket of that name "
                               "unix:%.256s",
                               text, text, text);
    if (strncmp(text, "tcp:", 4) != 0)
        return parse_path(text, ret_address, err);
    code = tcp_target_parse(text + 4, &address.target, err);
    if (code == BERTH_OK && address.target.port == 0)
        code = berth_error_set(err, BERTH_INVALID_ARGUMENT, "%.256s: nobody can be reached at port 0", text);
    if (code == BERTH_OK)
        *ret_address = address;
    return code;
}
