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

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

void asked_copy_request(struct asked *asked, const struct berth_change_request *request)
{
    memcpy(&asked->request, request, smaller(request->size, sizeof(*request)));
    asked->request.subjects = asked_copy_texts(asked, request->subjects.items, request->subjects.count);
    if (asked->request.start == NULL)
        return;
    memcpy(&asked->start, asked->request.start, smaller(asked->request.start->size, sizeof(asked->start)));
    asked->start.config = asked_copy_text(asked, asked->start.config);
    asked->start.root = asked_copy_text(asked, asked->start.root);
    asked->start.state = asked_copy_text(asked, asked->start.state);
    asked->start.plugin_dirs =
        asked_copy_texts(asked, asked->start.plugin_dirs.items, asked->start.plugin_dirs.count);
    asked->request.start = &asked->start;
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
