/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls, as bytes. */
#include "peer.h"

#include <stdlib.h>

void peer_put(struct packet_writer *writer, const struct berth_peer *peer)
{
    packet_put_text(writer, peer->address);
    packet_put_u64(writer, (uint64_t)peer->pid);
    packet_put_u64(writer, (uint64_t)peer->uid);
    packet_put_u64(writer, (uint64_t)peer->gid);
    packet_put_optional(writer, peer->tls_subject);
    packet_put_u32(writer, (uint32_t)peer->tls_name_count);
    for (size_t i = 0; i < peer->tls_name_count; i++)
        packet_put_text(writer, peer->tls_names[i]);
}

bool peer_get(struct packet_reader *reader, struct berth_peer *ret_peer, const char ***ret_names)
{
    const char **names;

    *ret_peer = (struct berth_peer){.size = sizeof(*ret_peer)};
    ret_peer->address = packet_get_text(reader);
    ret_peer->pid = (int64_t)packet_get_u64(reader);
    ret_peer->uid = (int64_t)packet_get_u64(reader);
    ret_peer->gid = (int64_t)packet_get_u64(reader);
    ret_peer->tls_subject = packet_get_optional(reader);
    ret_peer->tls_name_count = packet_get_count(reader, sizeof(uint32_t) + 1);
    names = *ret_names = calloc(ret_peer->tls_name_count + 1, sizeof(*names));
    if (names == NULL)
        return false;
    for (size_t i = 0; i < ret_peer->tls_name_count; i++)
        names[i] = packet_get_text(reader);
    ret_peer->tls_names = names;
    return !reader->is_bad;
}
