/* SPDX-License-Identifier: Apache-2.0 */
/* Gives each that runs its level: one above the highest of its providers; "*" above all that do not come
 * after it. */
#include "build.h"

#include <stdlib.h>

struct order {
    struct plan_build *build;
    struct plan_graph dependents;
    /** Of each node: how many providers have no level yet, and the highest level of the others; -1: none. */
    size_t *waits_for;
    int32_t *highest;
    size_t *queue;
    size_t queue_count;
    /** A heap of "*" plugins that wait for nothing else, the first by URI on top. */
    size_t *stars;
    size_t star_count;
};

static void swap(size_t *heap, size_t i, size_t j)
{
    size_t value = heap[i];

    heap[i] = heap[j];
    heap[j] = value;
}

static void push_star(struct order *order, size_t entry)
{
    size_t i = order->star_count++;

    order->stars[i] = entry;
    for (; i > 0 && order->stars[i] < order->stars[(i - 1) / 2]; i = (i - 1) / 2)
        swap(order->stars, i, (i - 1) / 2);
}

static size_t pop_star(struct order *order)
{
    size_t *heap = order->stars;
    size_t top = heap[0], i = 0;

    heap[0] = heap[--order->star_count];
    for (;;) {
        size_t child = 2 * i + 1;

        if (child + 1 < order->star_count && heap[child + 1] < heap[child])
            child++;
        if (child >= order->star_count || heap[i] <= heap[child])
            return top;
        swap(heap, i, child);
        i = child;
    }
}

/* All providers of the node have their level. */
static void release(struct order *order, size_t node)
{
    if (node < order->build->plan->count && plan_graph_is_star(&order->build->plan->entries[node]))
        push_star(order, node);
    else
        order->queue[order->queue_count++] = node;
}

/* A type stands at the level of its highest member, an entry one above. */
static void settle(struct order *order, size_t node)
{
    struct plan_build *build = order->build;
    const struct plan_graph *graph = &order->dependents;
    int32_t level = order->highest[node];

    if (node < build->plan->count) {
        build->plan->entries[node].level = ++level;
        if (level > build->max_level)
            build->max_level = level;
    }
    for (size_t i = graph->first[node]; i < graph->first[node + 1]; i++) {
        size_t dependent = graph->targets[i];

        if (level > order->highest[dependent])
            order->highest[dependent] = level;
        if (--order->waits_for[dependent] == 0)
            release(order, dependent);
    }
}

static void order_init(struct order *order, struct plan_build *build)
{
    struct plan_graph providers;
    size_t count = build->plan->count + build->plan->type_count;

    *order = (struct order){.build = build};
    plan_graph_init(&providers, build->plan, false);
    plan_graph_init_reverse(&order->dependents, &providers);
    order->waits_for = plan_build_allocate(count, sizeof(*order->waits_for));
    order->highest = plan_build_allocate(count, sizeof(*order->highest));
    order->queue = plan_build_allocate(count, sizeof(*order->queue));
    order->stars = plan_build_allocate(build->plan->count, sizeof(*order->stars));
    for (size_t i = 0; i < count; i++) {
        order->waits_for[i] = providers.first[i + 1] - providers.first[i];
        order->highest[i] = -1;
    }
    plan_graph_finish(&providers);
}

static void order_finish(struct order *order)
{
    plan_graph_finish(&order->dependents);
    free(order->waits_for);
    free(order->highest);
    free(order->queue);
    free(order->stars);
}

static void release_free(struct order *order)
{
    size_t count = order->build->plan->count + order->build->plan->type_count;

    for (size_t i = 0; i < count; i++)
        if (order->waits_for[i] == 0 &&
            (i >= order->build->plan->count || order->build->plan->entries[i].verdict == PLAN_RUN))
            release(order, i);
}

void plan_order_apply(struct plan_build *build)
{
    struct order order;
    size_t head = 0;

    build->max_level = -1;
    order_init(&order, build);
    release_free(&order);
    while (head < order.queue_count || order.star_count > 0) {
        if (head < order.queue_count) {
            settle(&order, order.queue[head++]);
            continue;
        }
        size_t star = pop_star(&order);

        order.highest[star] = build->max_level;
        settle(&order, star);
    }
    order_finish(&order);
}
