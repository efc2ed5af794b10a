/* SPDX-License-Identifier: Apache-2.0 */
/* A plan as text for people, as JSON for programs, and as a graph for dot(1). For commands only. */
#ifndef CORE_PLAN_PRINT_H
#define CORE_PLAN_PRINT_H

#include <stdio.h>

#include <core/scan/scan.h>

#include "plan.h"

void plan_print_text(FILE *out, const struct plan *plan, const struct scan *scan);
void plan_print_json(FILE *out, const struct plan *plan, const struct scan *scan);
void plan_print_dot(FILE *out, const struct plan *plan);

#endif
