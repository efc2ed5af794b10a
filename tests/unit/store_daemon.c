/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's side of a store that an isolated plugin uses. */
#include "store_daemon.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <berth/store_memory.h>

#include <core/crossing/crossing.h>
#include <sdk/base/memory.h>

static struct {
    uv_loop_t loop;
    uv_async_t wake;
    pthread_t thread;
    int fd;
    struct channel channel;
    struct crossing crossing;
    struct berth_store_memory *memory;
    /* What it is to write as another user of the store; NULL: it is to end. */
    const char *bucket, *text;
    sem_t is_written;
    struct berth_store counted;
    atomic_uint bucket_reads;
} far;

/* The daemon, on its thread */

static void far_packet(struct channel *channel, const struct packet *packet)
{
    crossing_take(&far.crossing, packet);
}

static void far_broken(struct channel *channel, const char *reason)
{
    if (!channel->has_ended)
        abort();
    crossing_end(&far.crossing);
}

static void far_rest(struct crossing *crossing)
{
}

static void far_store_closed(void *context)
{
    uv_close((uv_handle_t *)&far.wake, NULL);
}

static void far_channel_closed(struct channel *channel)
{
    crossing_close(&far.crossing, far_rest);
    berth_store_memory_close(far.memory, far_store_closed, NULL);
}

static enum berth_code write_text(struct berth_store_update *update, struct berth_store_txn *txn,
                                  struct berth_error *err)
{
    return berth_store_interface.put(txn, far.bucket, berth_store_text("n"), berth_store_text(far.text), err);
}

static void on_written(struct berth_store_update *update, enum berth_code code, const char *message)
{
    if (code != BERTH_OK)
        abort();
    far.text = NULL;
    sem_post(&far.is_written);
}

/* Another plugin in the daemon writes, or it is the end. */
static void far_woken(uv_async_t *wake)
{
    static struct berth_store_update update;

    if (far.text != NULL) {
        update = (struct berth_store_update){.change = write_text, .done = on_written};
        berth_store_interface.update(far.memory, &update);
        return;
    }
    if (!far.channel.is_broken)
        crossing_end(&far.crossing);
    channel_close(&far.channel, far_channel_closed);
}

static void *run_far(void *unused)
{
    uv_run(&far.loop, UV_RUN_DEFAULT);
    return NULL;
}

static bool far_logs(const struct berth_host *host, enum berth_log_level level)
{
    return false;
}

static enum berth_code count_bucket_read(struct berth_store_txn *txn, const char *after,
                                         char ret_bucket[BERTH_STORE_BUCKET_MAX + 1], struct berth_error *err)
{
    far.bucket_reads++;
    return berth_store_interface.next_bucket(txn, after, ret_bucket, err);
}

unsigned store_daemon_bucket_reads(void)
{
    return far.bucket_reads;
}

const struct berth_store_limits *store_daemon_start(int fd, const char *prefix)
{
    static const struct manifest_plugin plugin = {.uri = URI};
    static const struct berth_host host = {.size = sizeof(host), .uri = URI, .logs = far_logs};

    far.channel = (struct channel){.on_packet = far_packet, .on_broken = far_broken};
    far.crossing =
        (struct crossing){.plugin = &plugin, .channel = &far.channel, .host = &host, .store_prefix = prefix};
    memory_or_abort(uv_loop_init(&far.loop) == 0 ? &far : NULL);
    uv_async_init(&far.loop, &far.wake, far_woken);
    sem_init(&far.is_written, 0, 0);
    far.memory = memory_or_abort(berth_store_memory_create(&far.loop));
    crossing_init(&far.crossing);
    crossing_open(&far.crossing, &far.loop);
    far.crossing.used.refs[0].kind = ASK_INTERFACE_STORE;
    far.crossing.used.refs[0].uri = memory_copy("io.berth.store.v1.memory");
    far.counted = berth_store_interface;
    far.counted.next_bucket = count_bucket_read;
    far.bucket_reads = 0;
    far.crossing.used.refs[0].interface = &far.counted;
    far.crossing.used.refs[0].instance = far.memory;
    far.crossing.used.ref_count = 1;
    memory_or_abort(channel_open(&far.channel, &far.loop, fd) == 0 ? &far : NULL);
    memory_or_abort(pthread_create(&far.thread, NULL, run_far, NULL) == 0 ? &far : NULL);
    return berth_store_interface.limits(far.memory);
}

void store_daemon_write(const char *bucket, const char *text)
{
    far.bucket = bucket;
    far.text = text;
    uv_async_send(&far.wake);
    sem_wait(&far.is_written);
}

void store_daemon_stop(void)
{
    uv_async_send(&far.wake);
    pthread_join(far.thread, NULL);
    crossing_finish(&far.crossing);
    if (uv_loop_close(&far.loop) != 0)
        abort();
}
