/* SPDX-License-Identifier: Apache-2.0 */
/* Times the plan for 1,000, 10,000 and 100,000 plugins with four requirements each: medians of five, on the
 * clock and of the processor; on a busy machine only the latter says anything. */
#include <core/plan/plan.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RUNS 5
#define REQUIREMENTS 4
#define PER_TYPE 10
#define NAME_MAX_BYTES 72

struct set {
    size_t count;
    struct manifest *manifests;
    const struct manifest **pointers;
    struct manifest_plugin *plugins;
    struct manifest_requirement *requirements;
    char (*types)[NAME_MAX_BYTES];
    char (*uris)[NAME_MAX_BYTES];
};

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL)
        abort();
    return memory;
}

static void fill_plugin(struct set *set, size_t i, unsigned *seed)
{
    struct manifest_requirement *requirements = &set->requirements[i * REQUIREMENTS];
    size_t below = i / PER_TYPE;

    for (size_t j = 0; j < REQUIREMENTS && below > 0; j++)
        requirements[j].name = j % 2 == 0 ? set->types[(size_t)rand_r(seed) % below]
                                          : set->uris[(size_t)rand_r(seed) % (below * PER_TYPE)];
    set->plugins[i] = (struct manifest_plugin){
        .manifest = &set->manifests[i],
        .type = set->types[i / PER_TYPE],
        .id = "plugin",
        .uri = set->uris[i],
        .requirements = requirements,
        .requirement_count = below > 0 ? REQUIREMENTS : 0,
    };
    set->manifests[i] = (struct manifest){.path = "bench.so", .plugins = &set->plugins[i], .plugin_count = 1};
}

static void set_init(struct set *set, size_t count)
{
    unsigned seed = 1;

    *set = (struct set){
        .count = count,
        .manifests = allocate(count, sizeof(*set->manifests)),
        .pointers = allocate(count, sizeof(*set->pointers)),
        .plugins = allocate(count, sizeof(*set->plugins)),
        .requirements = allocate(count * REQUIREMENTS, sizeof(*set->requirements)),
        .types = allocate(count, sizeof(*set->types)),
        .uris = allocate(count, sizeof(*set->uris)),
    };
    for (size_t i = 0; i < count; i++) {
        snprintf(set->types[i], NAME_MAX_BYTES, "io.berth.bench%zu.v1", i);
        snprintf(set->uris[i], NAME_MAX_BYTES, "io.berth.bench%zu.v1.plugin%zu", i / PER_TYPE, i);
    }
    for (size_t i = 0; i < count; i++)
        fill_plugin(set, i, &seed);
    for (size_t i = 0; i < count; i++)
        set->pointers[i] = &set->manifests[i];
    for (size_t i = count - 1; i > 0; i--) {
        size_t j = (size_t)rand_r(&seed) % (i + 1);
        const struct manifest *manifest = set->pointers[i];

        set->pointers[i] = set->pointers[j];
        set->pointers[j] = manifest;
    }
}

static void set_finish(struct set *set)
{
    free(set->manifests);
    free(set->pointers);
    free(set->plugins);
    free(set->requirements);
    free(set->types);
    free(set->uris);
}

static double now_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void run(const struct set *set, double *ret_ms, double *ret_cpu_ms)
{
    const struct settings_plan settings = {0};
    struct catalog catalog;
    double start = now_ms(CLOCK_MONOTONIC), cpu_start = now_ms(CLOCK_PROCESS_CPUTIME_ID);
    struct plan *plan;

    catalog_init(&catalog, set->pointers, set->count);
    plan = plan_create(&catalog, &settings);
    *ret_ms = now_ms(CLOCK_MONOTONIC) - start;
    *ret_cpu_ms = now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu_start;
    if (plan->run_count != set->count)
        abort();
    plan_destroy(plan);
    catalog_finish(&catalog);
}

static int compare_times(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

int main(void)
{
    static const size_t counts[] = {1000, 10000, 100000};

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        double times[RUNS], cpu_times[RUNS];
        struct set set;

        set_init(&set, counts[i]);
        for (size_t j = 0; j < RUNS; j++)
            run(&set, &times[j], &cpu_times[j]);
        qsort(times, RUNS, sizeof(times[0]), compare_times);
        qsort(cpu_times, RUNS, sizeof(cpu_times[0]), compare_times);
        printf(
            "plan plugins=%zu requirements=%zu median_ms=%.2f min_ms=%.2f max_ms=%.2f median_cpu_ms=%.2f\n",
            counts[i], counts[i] * REQUIREMENTS, times[RUNS / 2], times[0], times[RUNS - 1],
            cpu_times[RUNS / 2]);
        set_finish(&set);
    }
    return 0;
}
