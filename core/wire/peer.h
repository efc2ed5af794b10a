/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls, as bytes: for calls and for HTTP requests. */
#ifndef CORE_WIRE_PEER_H
#define CORE_WIRE_PEER_H

#include <berth/call.h>

#include "packet.h"

void peer_put(struct packet_writer *writer, const struct berth_peer *peer);
/**
 * @param ret_names  of the certificate, which `ret_peer` borrows; to be freed whatever this returns. All text
 * is borrowed from the packet.
 * @return false without memory, or with the reader bad.
 */
bool peer_get(struct packet_reader *reader, struct berth_peer *ret_peer, const char ***ret_names);

#endif
