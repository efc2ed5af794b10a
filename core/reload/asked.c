/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a change, and the memory of its answer. */
#include "asked.h"

#include <string.h>

const char *asked_copy_text(struct asked *asked, const char *text)
{
    return text == NULL ? NULL : config_arena_copy(&asked->arena, text, strlen(text));
}

struct berth_strings asked_copy_texts(struct asked *asked, const char *const *texts, size_t count)
{
    const char **copies = config_arena_allocate(&asked->arena, count * sizeof(*copies));

    for (size_t i = 0; i < count; i++)
        copies[i] = asked_copy_text(asked, texts[i]);
    return (struct berth_strings){copies, count};
}

bool asked_has_subject(const struct asked *asked, const char *name)
{
    for (size_t i = 0; i < asked->request.subjects.count; i++)
        if (strcmp(asked->request.subjects.items[i], name) == 0)
            return true;
    return false;
}

bool asked_reads_files(const struct asked *asked)
{
    return asked->request.kind == BERTH_CHANGE_RELOAD || asked->request.kind == BERTH_CHANGE_UPGRADE ||
           asked->request.kind == BERTH_CHANGE_ROLLBACK;
}

bool asked_is_all_or_nothing(const struct asked *asked)
{
    return asked->request.is_atomic || asked->request.kind == BERTH_CHANGE_ROLLBACK;
}
