/* SPDX-License-Identifier: Apache-2.0 */
/* The process of a worker: it hands each packet to the plugin whose number is in it. */
#include "process.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sdk/base/container_of.h>

#include "inside.h"

/* How long the last packet may take to be sent. */
#define LAST_WORDS_MS 1000

/* Nothing is undone: the process ends with what it has. */
_Noreturn static void leave(struct process *process)
{
    struct pollfd socket = {.fd = process->channel.fd, .events = POLLOUT};

    channel_flush(&process->channel);
    for (int i = 0; i < 10 && channel_queued(&process->channel) > 0; i++)
        if (poll(&socket, 1, LAST_WORDS_MS / 10) > 0)
            channel_flush(&process->channel);
    _exit(0);
}

static void send_pong(struct process *process)
{
    struct packet_writer *writer = channel_write(&process->channel, 0);

    packet_begin(writer, PACKET_PONG, 0, 0);
    packet_end(writer);
}

static void take_own(struct process *process, const struct packet *packet)
{
    if (packet->type == PACKET_PING)
        send_pong(process);
    else if (packet->type == PACKET_LEAVE)
        leave(process);
    else
        channel_break(&process->channel, "sent a packet of a kind that belongs to a plugin");
}

static void on_packet(struct channel *channel, const struct packet *packet)
{
    struct process *process = CONTAINER_OF(channel, struct process, channel);
    struct inside **plugin;

    if (packet->plugin == 0) {
        take_own(process, packet);
        return;
    }
    plugin = &process->plugins[packet->plugin - 1];
    if (*plugin != NULL)
        inside_take(*plugin, packet);
    else if (packet->type == PACKET_PLUGIN)
        inside_start(process, packet, plugin);
    else
        channel_break(channel, "sent a packet of a plugin that was not started");
}

/* The daemon is gone, or asks for nothing that can be done: there is nobody to tell. */
static void on_broken(struct channel *channel, const char *reason)
{
    _exit(1);
}

static void visit_nobody(const struct berth_inspect *inspect,
                         bool (*on_plugin)(void *context, const struct berth_plugin_info *info),
                         void *context)
{
}

/* Of the daemon a plugin sees what does not change. */
static void fill_inspect(struct process *process)
{
    const struct worker_start *start = process->start;

    process->daemon = (struct berth_daemon_info){
        .size = sizeof(process->daemon),
        .version = start->daemon_version,
        .revision = start->daemon_revision,
        .root = start->daemon_root,
        .state = start->daemon_state,
        .pid = start->daemon_pid,
        .ready = true,
    };
    process->inspect = (struct berth_inspect){
        .size = offsetof(struct berth_inspect, watch),
        .each = visit_nobody,
        .daemon = &process->daemon,
    };
}

_Noreturn void process_run(int fd, const struct worker_start *start)
{
    static struct process process;

    process.start = start;
    process.thread = pthread_self();
    process.channel.on_packet = on_packet;
    process.channel.on_broken = on_broken;
    fill_inspect(&process);
    if (uv_loop_init(&process.loop) != 0)
        process_refuse(fd, BERTH_RESOURCE_EXHAUSTED, "cannot create its event loop");
    if (channel_open(&process.channel, &process.loop, fd) != 0)
        _exit(1);
    mailroom_init(&process.mailroom, &process.loop);
    uv_run(&process.loop, UV_RUN_DEFAULT);
    _exit(1);
}

_Noreturn void process_refuse(int fd, enum berth_code code, const char *reason)
{
    struct packet_writer writer = {0};

    packet_begin(&writer, PACKET_REFUSED, 0, 0);
    packet_put_u32(&writer, (uint32_t)code);
    packet_put_text(&writer, reason);
    packet_end(&writer);
    if (!writer.is_bad)
        send(fd, writer.bytes, writer.length, MSG_NOSIGNAL);
    _exit(0);
}
