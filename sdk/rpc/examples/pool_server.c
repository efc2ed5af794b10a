/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs long computations on libuv's thread pool and replies from the loop: pool_server SOCKET
 *
 * "/example.Primes/Count" takes a decimal number and returns how many primes are below it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/rpc/server.h>
#include <berth/rpc/services.h>

#define LARGEST 50000000ul

struct job {
    uv_work_t work;
    /** NULL once the call has ended: its caller no longer waits. Only used on the loop. */
    struct berth_call *call;
    unsigned long below;
    unsigned long primes;
};

static bool is_prime(unsigned long number)
{
    for (unsigned long divisor = 2; divisor * divisor <= number; divisor++)
        if (number % divisor == 0)
            return false;
    return number >= 2;
}

/* On a thread of the pool: uses the job, but no call. */
static void count_primes(uv_work_t *work)
{
    struct job *job = work->data;

    for (unsigned long number = 2; number < job->below; number++)
        job->primes += is_prime(number);
}

/* On the loop again. */
static void answer(uv_work_t *work, int status)
{
    struct job *job = work->data;
    char text[32];

    if (job->call != NULL) {
        job->call->state = NULL;
        snprintf(text, sizeof(text), "%lu", job->primes);
        if (status == 0)
            berth_call_reply(job->call, text, strlen(text));
        else
            berth_call_finish(job->call, BERTH_CANCELLED, "the work was cancelled");
    }
    free(job);
}

static void start_job(struct berth_call *call, const void *message, size_t length)
{
    struct job *job = calloc(1, sizeof(*job));
    char text[32];

    snprintf(text, sizeof(text), "%.*s", (int)(length < 31 ? length : 31), (const char *)message);
    if (job == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    job->below = strtoul(text, NULL, 10);
    if (job->below > LARGEST) {
        free(job);
        berth_call_finish(call, BERTH_OUT_OF_RANGE, "that would take all day; try 50000000 or less");
        return;
    }
    job->call = call;
    job->work.data = job;
    call->state = job;
    uv_queue_work(call->instance, &job->work, count_primes, answer);
}

/* A job that has not begun is cancelled; one that runs completes and finds no call. */
static void forget_job(struct berth_call *call, enum berth_code code)
{
    struct job *job = call->state;

    (void)code;
    if (job == NULL)
        return;
    job->call = NULL;
    uv_cancel((uv_req_t *)&job->work);
}

static const struct berth_method methods[] = {
    {.name = "Count", .kind = BERTH_METHOD_UNARY, .on_message = start_job, .on_end = forget_job},
};

static const struct berth_service service = {
    .size = sizeof(service),
    .method_size = sizeof(methods[0]),
    .name = "example.Primes",
    .methods = methods,
    .method_count = sizeof(methods) / sizeof(methods[0]),
};

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    const struct berth_rpc_service_entry entry = {.service = &service, .instance = loop};
    struct berth_rpc_unix_options where = {.size = sizeof(where)};
    struct berth_rpc_services *services;
    struct berth_rpc_server *server;
    struct berth_error err;

    if (argc != 2) {
        fprintf(stderr, "usage: pool_server SOCKET\n");
        return 2;
    }
    where.path = argv[1];
    if (berth_rpc_services_create(&entry, 1, &services, &err) != BERTH_OK ||
        berth_rpc_server_create(loop, NULL, berth_rpc_services_router(services), &server, &err) != BERTH_OK ||
        berth_rpc_server_listen_unix(server, &where, &err) != BERTH_OK) {
        fprintf(stderr, "pool_server: %s\n", err.message);
        return 1;
    }
    printf("listening on %s\n", argv[1]);
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
