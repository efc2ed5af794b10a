/* SPDX-License-Identifier: Apache-2.0 */
/* A plan for people, for programs and for dot(1). */
#ifndef CORE_PLAN_PRINT_H
#define CORE_PLAN_PRINT_H

#include <stdio.h>

#include "plan.h"
#include <core/scan/scan.h>

void plan_print_text(FILE *out, const struct plan *plan, const struct scan *scan);
void plan_print_json(FILE *out, const struct plan *plan, const struct scan *scan);
void plan_print_dot(FILE *out, const struct plan *plan);

/** "run", "disabled". */
const char *plan_verdict_name(enum plan_verdict verdict);

#endif
