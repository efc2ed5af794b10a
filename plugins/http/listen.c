/* SPDX-License-Identifier: Apache-2.0 */
/* Where the servers of this module listen: a TCP address, with TLS or without, or a unix socket. */
#include "listen.h"

static const char *path_of(const struct http_place *place)
{
    return berth_address_skip_scheme(place->address, "unix:");
}

void http_check_place(const struct berth_check *check, const struct http_place *place)
{
    struct berth_error err;

    if (!berth_address_is_path(place->address)) {
        berth_rpc_plugin_check_tcp(check, place->address, &place->tls, place->insecure);
        return;
    }
    /* An address without its port would be a socket wherever the daemon happens to be. */
    if (path_of(place)[0] != '/')
        berth_check_problem(check, BERTH_LOG_ERROR, "address",
                            "\"%.200s\" is neither an IP address and port, such as 127.0.0.1:8080, nor the "
                            "absolute path of a unix socket",
                            place->address);
    else if (berth_address_check_path(path_of(place), &err) != BERTH_OK)
        berth_check_problem(check, BERTH_LOG_ERROR, "address", "%s", err.message);
    if (place->tls.certificate_file != NULL || place->tls.key_file != NULL || place->tls.ca_file != NULL)
        berth_check_problem(check, BERTH_LOG_ERROR, "tls_cert",
                            "TLS is for TCP addresses; remove the tls_ settings, or set a host and a port");
}

enum berth_code http_listen(struct berth_rpc_plugin *self, const struct http_place *place,
                            struct berth_error *err)
{
    const struct berth_rpc_tcp_options tcp = {
        .size = sizeof(tcp),
        .address = place->address,
        .tls = place->tls.certificate_file == NULL ? NULL : &place->tls,
        .protocol = BERTH_RPC_HTTP,
    };
    struct berth_rpc_unix_options options = place->unix_options;

    if (!berth_address_is_path(place->address))
        return berth_rpc_plugin_listen_tcp(self, &tcp, err);
    return berth_rpc_plugin_move_unix(self, strdup(path_of(place)), &options, err);
}

static bool is_same_text(const char *left, const char *right)
{
    return left == right || (left != NULL && right != NULL && strcmp(left, right) == 0);
}

static bool is_same_place(const struct http_place *left, const struct http_place *right)
{
    return is_same_text(left->address, right->address) &&
           left->unix_options.mode == right->unix_options.mode &&
           left->unix_options.set_owner == right->unix_options.set_owner &&
           left->unix_options.uid == right->unix_options.uid &&
           left->unix_options.gid == right->unix_options.gid &&
           is_same_text(left->tls.certificate_file, right->tls.certificate_file) &&
           is_same_text(left->tls.key_file, right->tls.key_file) &&
           is_same_text(left->tls.ca_file, right->tls.ca_file);
}

enum berth_code http_move(struct berth_rpc_plugin *self, const struct http_place *before,
                          const struct http_place *place, struct berth_error *err)
{
    /* Without an address the plugin is skipped, which the host decides. */
    if (place->address == NULL)
        return BERTH_RESTART;
    if (!is_same_place(before, place))
        return http_listen(self, place, err);
    /* What files of the same names hold may be other than before. */
    return place->tls.certificate_file == NULL ? BERTH_OK : berth_rpc_plugin_set_tls(self, &place->tls, err);
}
