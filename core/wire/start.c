/* SPDX-License-Identifier: Apache-2.0 */
/* The first packets to a worker, written and read. */
#include "start.h"

#include <stdlib.h>
#include <string.h>

static void put_texts(struct packet_writer *writer, const char *const *texts, size_t count)
{
    packet_put_u32(writer, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        packet_put_text(writer, texts[i]);
}

static void put_ports(struct packet_writer *writer, const uint16_t *ports, size_t count)
{
    packet_put_u32(writer, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        packet_put_u32(writer, ports[i]);
}

static void put_sandbox(struct packet_writer *writer, const struct sandbox_wanted *sandbox)
{
    packet_put_u8(writer, sandbox->has_user);
    packet_put_u32(writer, sandbox->user);
    packet_put_u32(writer, sandbox->group);
    put_texts(writer, sandbox->system_calls, sandbox->system_call_count);
    put_texts(writer, sandbox->read, sandbox->read_count);
    put_texts(writer, sandbox->write, sandbox->write_count);
    packet_put_u8(writer, (uint8_t)sandbox->network);
    put_ports(writer, sandbox->connect_ports, sandbox->connect_port_count);
    put_ports(writer, sandbox->bind_ports, sandbox->bind_port_count);
    packet_put_u64(writer, sandbox->memory_bytes);
    packet_put_u32(writer, sandbox->tasks);
    packet_put_u32(writer, sandbox->cpu_percent);
    packet_put_u32(writer, sandbox->descriptors);
    packet_put_u8(writer, sandbox->allows_processes);
    packet_put_u8(writer, sandbox->is_required);
    packet_put_u8(writer, sandbox->runs_program);
}

void worker_start_write(struct packet_writer *writer, const struct worker_start *start)
{
    packet_begin(writer, PACKET_START, 0, 0);
    packet_put_u32(writer, PACKET_VERSION);
    packet_put_text(writer, start->daemon_version);
    packet_put_text(writer, start->daemon_revision);
    packet_put_text(writer, start->daemon_root);
    packet_put_text(writer, start->daemon_state);
    packet_put_u64(writer, (uint64_t)start->daemon_pid);
    packet_put_bytes(writer, &start->kernel, sizeof(start->kernel));
    put_sandbox(writer, &start->sandbox);
    packet_put_optional(writer, start->group);
    packet_end(writer);
}

void plugin_start_write(struct packet_writer *writer, const struct plugin_start *start,
                        const struct berth_settings *settings)
{
    packet_begin(writer, PACKET_PLUGIN, 0, 0);
    packet_put_text(writer, start->uri);
    packet_put_text(writer, start->type);
    packet_put_text(writer, start->id);
    packet_put_text(writer, start->path);
    packet_put_bytes(writer, &start->status, sizeof(start->status));
    packet_put_text(writer, start->root);
    packet_put_text(writer, start->state);
    packet_put_optional(writer, start->http_prefix);
    packet_put_u8(writer, (uint8_t)start->log_level);
    carried_write(writer, settings);
    packet_end(writer);
}

static const char *const *get_texts(struct packet_reader *reader, size_t *ret_count)
{
    size_t count = packet_get_count(reader, sizeof(uint32_t) + 1);
    const char **texts = calloc(count + 1, sizeof(*texts));

    *ret_count = 0;
    if (texts == NULL) {
        reader->is_bad = true;
        return NULL;
    }
    while (*ret_count < count)
        texts[(*ret_count)++] = packet_get_text(reader);
    return texts;
}

static const uint16_t *get_ports(struct packet_reader *reader, size_t *ret_count)
{
    size_t count = packet_get_count(reader, sizeof(uint32_t));
    uint16_t *ports = calloc(count + 1, sizeof(*ports));

    *ret_count = 0;
    if (ports == NULL) {
        reader->is_bad = true;
        return NULL;
    }
    while (*ret_count < count)
        ports[(*ret_count)++] = (uint16_t)packet_get_u32(reader);
    return ports;
}

static void get_sandbox(struct packet_reader *reader, struct sandbox_wanted *sandbox)
{
    sandbox->has_user = packet_get_u8(reader) != 0;
    sandbox->user = packet_get_u32(reader);
    sandbox->group = packet_get_u32(reader);
    sandbox->system_calls = get_texts(reader, &sandbox->system_call_count);
    sandbox->read = get_texts(reader, &sandbox->read_count);
    sandbox->write = get_texts(reader, &sandbox->write_count);
    sandbox->network = (enum sandbox_network)packet_get_u8(reader);
    if (sandbox->network > SANDBOX_NETWORK_ALL)
        reader->is_bad = true;
    sandbox->connect_ports = get_ports(reader, &sandbox->connect_port_count);
    sandbox->bind_ports = get_ports(reader, &sandbox->bind_port_count);
    sandbox->memory_bytes = packet_get_u64(reader);
    sandbox->tasks = packet_get_u32(reader);
    sandbox->cpu_percent = packet_get_u32(reader);
    sandbox->descriptors = packet_get_u32(reader);
    sandbox->allows_processes = packet_get_u8(reader) != 0;
    sandbox->is_required = packet_get_u8(reader) != 0;
    sandbox->runs_program = packet_get_u8(reader) != 0;
}

/* As it lies in memory: both sides come from one build. */
static void get_struct(struct packet_reader *reader, void *ret_struct, size_t size)
{
    size_t length;
    const void *bytes = packet_get_bytes(reader, &length);

    if (length == size)
        memcpy(ret_struct, bytes, length);
    else
        reader->is_bad = true;
}

bool worker_start_read(const struct packet *packet, struct worker_start *ret_start)
{
    struct packet_reader reader;

    *ret_start = (struct worker_start){0};
    packet_reader_init(&reader, packet);
    if (packet->type != PACKET_START || packet_get_u32(&reader) != PACKET_VERSION)
        return false;
    ret_start->daemon_version = packet_get_text(&reader);
    ret_start->daemon_revision = packet_get_text(&reader);
    ret_start->daemon_root = packet_get_text(&reader);
    ret_start->daemon_state = packet_get_text(&reader);
    ret_start->daemon_pid = (int64_t)packet_get_u64(&reader);
    get_struct(&reader, &ret_start->kernel, sizeof(ret_start->kernel));
    get_sandbox(&reader, &ret_start->sandbox);
    ret_start->group = packet_get_optional(&reader);
    if (!reader.is_bad && reader.left == 0)
        return true;
    worker_start_finish(ret_start);
    return false;
}

bool plugin_start_read(struct packet_reader *reader, struct plugin_start *ret_start,
                       struct carried **ret_settings)
{
    *ret_start = (struct plugin_start){.uri = packet_get_text(reader)};
    ret_start->type = packet_get_text(reader);
    ret_start->id = packet_get_text(reader);
    ret_start->path = packet_get_text(reader);
    get_struct(reader, &ret_start->status, sizeof(ret_start->status));
    ret_start->root = packet_get_text(reader);
    ret_start->state = packet_get_text(reader);
    ret_start->http_prefix = packet_get_optional(reader);
    ret_start->log_level = packet_get_u8(reader);
    *ret_settings = reader->is_bad ? NULL : carried_read(reader);
    if (*ret_settings != NULL && !reader->is_bad && reader->left == 0)
        return true;
    carried_destroy(*ret_settings);
    return false;
}

void worker_start_finish(struct worker_start *start)
{
    free((void *)(uintptr_t)start->sandbox.system_calls);
    free((void *)(uintptr_t)start->sandbox.read);
    free((void *)(uintptr_t)start->sandbox.write);
    free((void *)(uintptr_t)start->sandbox.connect_ports);
    free((void *)(uintptr_t)start->sandbox.bind_ports);
    start->sandbox = (struct sandbox_wanted){0};
}
