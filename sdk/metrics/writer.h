/* SPDX-License-Identifier: Apache-2.0 */
/* A text that grows. */
#ifndef METRICS_WRITER_H
#define METRICS_WRITER_H

#include <berth/metrics_registry.h>

/** A scrape larger than this is refused: Prometheus would be hard pressed as well. */
#define WRITER_MAX (64u << 20)

struct berth_metrics_writer {
    char *text;
    size_t length, capacity;
    /** Without memory or beyond WRITER_MAX. What is written after that is lost. */
    bool failed;
};

/** Makes room for a text of about this length. */
void writer_expect(struct berth_metrics_writer *writer, size_t length);

#endif
