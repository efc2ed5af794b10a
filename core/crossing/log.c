/* SPDX-License-Identifier: Apache-2.0 */
/* Lines that a worker logs, as its plugin's. */
#include "kinds.h"

void log_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader)
{
    uint8_t level = packet_get_u8(reader);
    const char *text = packet_get_text(reader);

    if (!reader->is_bad && level <= BERTH_LOG_DEBUG)
        berth_log(crossing->host, (enum berth_log_level)level, "%s", text);
}
