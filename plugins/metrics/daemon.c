/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon and its plugins cost, and what the kernel says of the process: looked up for each text, and
 * kept nowhere.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "metrics.h"

/* Of containerd's name, so that its dashboards find who answers. */
static void write_build(const struct berth_host *host, struct berth_metrics_writer *writer)
{
    const struct berth_daemon_info *daemon = host->inspect->daemon;
    const char *const labels[] = {"version", daemon->version, "revision", daemon->revision, NULL};

    berth_metrics_write_family(writer, "containerd_build_info_total",
                               "Version and revision of this daemon; the value is always 1.",
                               BERTH_METRIC_COUNTER);
    berth_metrics_write_row(writer, "containerd_build_info_total", labels, 1);
}

static void write_one(struct berth_metrics_writer *writer, const char *name, const char *help,
                      enum berth_metric_kind kind, double value)
{
    berth_metrics_write_family(writer, name, help, kind);
    berth_metrics_write_row(writer, name, NULL, value);
}

/* Linux 6.2 has their number as the size of the folder; before, somebody has to count. */
static double count_descriptors(void)
{
    static const char path[] = "/proc/self/fd";
    struct stat status;
    double count = 0;
    DIR *folder;

    if (stat(path, &status) == 0 && status.st_size > 0)
        return (double)status.st_size;
    folder = opendir(path);
    if (folder == NULL)
        return 0;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    /* Without ".", ".." and the folder itself. */
    return count - 3;
}

static double limit_of(int resource)
{
    struct rlimit limit;

    return getrlimit((__rlimit_resource_t)resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY
               ? (double)UINT64_MAX
               : (double)limit.rlim_cur;
}

struct process {
    uint64_t start_ticks, virtual_bytes, resident_pages;
};

/* Fields 22, 23 and 24 of proc(5)'s stat, counted from behind the name, which may have blanks in it. */
static bool read_process(struct process *ret_process)
{
    char text[1024], *at;
    FILE *file = fopen("/proc/self/stat", "re");
    size_t length = file != NULL ? fread(text, 1, sizeof(text) - 1, file) : 0;

    if (file != NULL)
        fclose(file);
    text[length] = '\0';
    at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < 22; field++) {
        at = strchr(at, ' ');
        at = at != NULL ? at + 1 : NULL;
    }
    if (at == NULL)
        return false;
    ret_process->start_ticks = strtoull(at, &at, 10);
    ret_process->virtual_bytes = strtoull(at, &at, 10);
    ret_process->resident_pages = strtoull(at, &at, 10);
    return true;
}

static double start_time(uint64_t ticks)
{
    struct timespec now, since_boot;
    double start;

    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &since_boot);
    start = (double)(now.tv_sec - since_boot.tv_sec) + (double)(now.tv_nsec - since_boot.tv_nsec) / 1e9 +
            (double)ticks / (double)sysconf(_SC_CLK_TCK);
    /* The two clocks are read one after the other: the same start, to the hundredth, each time. */
    return (double)(uint64_t)(start * 100 + 0.5) / 100;
}

/* As the client libraries of Prometheus name them. */
static void write_process(struct berth_metrics_writer *writer)
{
    struct process process = {0};
    struct timespec cpu;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    write_one(writer, "process_cpu_seconds_total", "Processor time of all threads.", BERTH_METRIC_COUNTER,
              (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
    write_one(writer, "process_open_fds", "Open file descriptors.", BERTH_METRIC_GAUGE, count_descriptors());
    write_one(writer, "process_max_fds", "Limit of open file descriptors.", BERTH_METRIC_GAUGE,
              limit_of(RLIMIT_NOFILE));
    write_one(writer, "process_virtual_memory_max_bytes", "Limit of virtual memory.", BERTH_METRIC_GAUGE,
              limit_of(RLIMIT_AS));
    if (!read_process(&process))
        return;
    write_one(writer, "process_virtual_memory_bytes", "Virtual memory.", BERTH_METRIC_GAUGE,
              (double)process.virtual_bytes);
    write_one(writer, "process_resident_memory_bytes", "Resident memory.", BERTH_METRIC_GAUGE,
              (double)process.resident_pages * (double)sysconf(_SC_PAGESIZE));
    write_one(writer, "process_start_time_seconds", "When the process started, since 1970.",
              BERTH_METRIC_GAUGE, start_time(process.start_ticks));
}

void daemon_write(void *context, struct berth_metrics_writer *writer)
{
    const struct berth_host *host = context;

    write_build(host, writer);
    write_process(writer);
}
