/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libberth-rpc's client as one side of the interoperability cases:
 *
 *     interop_client grpc|ttrpc|both|peer ADDRESS [--ca FILE] [--certificate FILE --key FILE] [--name SERVER]
 *     interop_client list grpc|ttrpc|both|peer
 *
 * runs the cases of gRPC's service, of ttrpc's over ttrpc, both services' over gRPC, or those of a peer
 * without streams over ttrpc, and prints "ok CASE" or "failed CASE: why" for each.
 */
#include <stdio.h>
#include <string.h>

#include "cases.h"

static bool run_case(struct peer *peer, const struct interop_case *each)
{
    bool ok;

    peer->reason[0] = '\0';
    ok = each->run(peer);
    peer_forget_exchanges(peer);
    if (ok)
        printf("ok %s\n", each->name);
    else
        printf("failed %s: %s\n", each->name, peer->reason);
    fflush(stdout);
    return ok;
}

/* Runs a table, or names what is in it where there is no peer. */
static int run_table(struct peer *peer, const struct interop_case *table)
{
    int failed = 0;

    for (; table->name != NULL; table++) {
        if (peer == NULL)
            printf("%s\n", table->name);
        else
            failed += !run_case(peer, table);
    }
    return failed;
}

static int run_tables(struct peer *peer, const char *services)
{
    int failed = 0;

    if (strcmp(services, "peer") == 0)
        return run_table(peer, cases_peer);
    if (strcmp(services, "ttrpc") != 0)
        failed +=
            run_table(peer, cases_unary) + run_table(peer, cases_streams) + run_table(peer, cases_endings);
    if (strcmp(services, "grpc") != 0)
        failed += run_table(peer, cases_ttrpc);
    return failed;
}

static bool set_option(struct berth_rpc_tls_options *tls, const char *name, const char *value)
{
    if (strcmp(name, "--ca") == 0)
        tls->ca_file = value;
    else if (strcmp(name, "--certificate") == 0)
        tls->certificate_file = value;
    else if (strcmp(name, "--key") == 0)
        tls->key_file = value;
    else if (strcmp(name, "--name") == 0)
        tls->server_name = value;
    else
        return false;
    return true;
}

static bool is_over_ttrpc(const char *services)
{
    return strcmp(services, "ttrpc") == 0 || strcmp(services, "peer") == 0;
}

int main(int argc, char **argv)
{
    struct berth_rpc_tls_options tls = {.size = sizeof(tls)};
    bool understood = argc >= 3 && argc % 2 == 1;
    int failed;

    for (int i = 3; understood && i < argc; i += 2)
        understood = set_option(&tls, argv[i], argv[i + 1]);
    if (!understood) {
        fprintf(stderr, "usage: interop_client grpc|ttrpc|both|peer ADDRESS [--ca FILE] "
                        "[--certificate FILE --key FILE] [--name SERVER]\n");
        return 2;
    }
    if (strcmp(argv[1], "list") == 0)
        return run_tables(NULL, argv[2]);
    struct peer peer = {
        .options = {.size = sizeof(peer.options),
                    .address = argv[2],
                    .protocol = is_over_ttrpc(argv[1]) ? BERTH_RPC_TTRPC : BERTH_RPC_GRPC,
                    .tls = tls.ca_file != NULL ? &tls : NULL},
    };
    if (!peer_open(&peer))
        return 1;
    failed = run_tables(&peer, argv[1]);
    peer_close(&peer);
    return failed == 0 ? 0 : 1;
}
