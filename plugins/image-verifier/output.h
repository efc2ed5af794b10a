/* SPDX-License-Identifier: Apache-2.0 */
/* What a program writes: kept up to a limit, the rest is read and forgotten so that it is not held up. */
#ifndef IMAGE_VERIFIER_OUTPUT_H
#define IMAGE_VERIFIER_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

/** Of each stream of one program, in bytes. */
#define OUTPUT_MAX 32768

/** Zero-initialise. */
struct output {
    char bytes[OUTPUT_MAX];
    size_t length;
    bool is_cut;
};

void output_add(struct output *output, const char *bytes, size_t length);
/**
 * The whole as one text: without the blanks around it, and a `?` for each byte that is no text.
 * @return malloced; NULL without memory.
 */
char *output_text(const struct output *output);
/** The same for each line that is not empty. */
void output_each_line(const struct output *output, void (*on_line)(void *context, const char *line),
                      void *context);

#endif
