/* SPDX-License-Identifier: Apache-2.0 */
/* What an isolated plugin reports of its condition. */
#include "table.h"

static void say_condition(struct inside *inside, enum packet_type type, enum berth_code code,
                          const char *message)
{
    struct packet_writer *writer = table_begin(inside, type);

    packet_put_u32(writer, (uint32_t)code);
    packet_put_text(writer, message);
    packet_end(writer);
}

static void host_fail(const struct berth_host *table, enum berth_code code, const char *message)
{
    struct inside *inside = table_on_loop(table, "berth_fail", NULL);

    if (inside != NULL)
        say_condition(inside, PACKET_FAIL, code, message);
}

static void host_report(const struct berth_host *table, enum berth_code code, const char *message)
{
    struct inside *inside = table_on_loop(table, "berth_report", NULL);

    if (inside != NULL)
        say_condition(inside, PACKET_REPORT, code, message);
}

static void host_report_misuse(const struct berth_host *table, const char *what, const void *caller)
{
    log_say(table_of(table), BERTH_LOG_WARN, what != NULL ? what : "broke the contract of an interface");
}

void conditions_fill(struct berth_host *table)
{
    table->fail = host_fail;
    table->report = host_report;
    table->report_misuse = host_report_misuse;
}
