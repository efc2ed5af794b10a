/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker reports of its plugin's condition. */
#include "kinds.h"

void conditions_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader)
{
    enum berth_code code = (enum berth_code)packet_get_u32(reader);
    const char *message = packet_get_text(reader);

    if (reader->is_bad)
        return;
    if (packet->type == PACKET_REPORT)
        berth_report(crossing->host, code, message);
    else
        (crossing->host->fail)(crossing->host, code, message);
}
