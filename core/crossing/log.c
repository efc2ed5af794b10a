/* SPDX-License-Identifier: Apache-2.0 */
/* Lines that a worker logs or prints, as its plugin's; not more than the daemon's log should have of it. */
#include <inttypes.h>
#include <string.h>

#include "kinds.h"

static void say_left_out(struct crossing *crossing, uint64_t left_out)
{
    berth_log(crossing->host, BERTH_LOG_WARN,
              "left out %" PRIu64 " lines that its process logged: more than %u lines or %u KiB in a second",
              left_out, FLOOD_LINES, FLOOD_BYTES >> 10);
}

bool log_tick(struct crossing *crossing)
{
    uint64_t left_out = flood_end(&crossing->flood, uv_hrtime());

    if (left_out > 0)
        say_left_out(crossing, left_out);
    return crossing->flood.left_out > 0 || crossing->flood.left_out_before > 0;
}

void log_end(struct crossing *crossing)
{
    uint64_t left_out = crossing->flood.left_out + crossing->flood.left_out_before;

    crossing->flood.left_out = crossing->flood.left_out_before = 0;
    if (left_out > 0)
        say_left_out(crossing, left_out);
}

void crossing_log(struct crossing *crossing, enum berth_log_level level, const char *prefix, const char *text)
{
    if (flood_admits(&crossing->flood, uv_hrtime(), strlen(text)))
        berth_log(crossing->host, level, "%s%s", prefix, text);
    else
        crossing_tick(crossing);
}

void log_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader)
{
    uint8_t level = packet_get_u8(reader);
    const char *text = packet_get_text(reader);

    if (reader->is_bad || level > BERTH_LOG_DEBUG)
        channel_break(crossing->channel, "sent a malformed log line");
    else if ((crossing->host->logs)(crossing->host, (enum berth_log_level)level))
        crossing_log(crossing, (enum berth_log_level)level, "", text);
}
