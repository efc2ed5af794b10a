/* SPDX-License-Identifier: Apache-2.0 */
/* Says hello: the smallest plugin with a service and settings of its own. */
#include "greeter-plugin.h"

#include <stdlib.h>

#include <berth/protobuf.h>
#include <helloworld/helloworld.pb-c.h>

static void refuse_length(struct berth_call *call, size_t length, int64_t max_name)
{
    char reason[128];

    snprintf(reason, sizeof(reason), "the name has %zu bytes; max_name allows %lld", length,
             (long long)max_name);
    berth_call_finish(call, BERTH_INVALID_ARGUMENT, reason);
}

/* The name that a request brings, to be freed; NULL where the call has been refused. */
static char *take_name(struct berth_call *call, const void *request, size_t length)
{
    const struct greeter_config *config = call->instance;
    Helloworld__HelloRequest *hello =
        (void *)berth_call_unpack(call, &helloworld__hello_request__descriptor, request, length);
    char *name = NULL;

    if (hello == NULL)
        return NULL;
    if (strlen(hello->name) > (size_t)config->max_name)
        refuse_length(call, strlen(hello->name), config->max_name);
    else if ((name = strdup(hello->name)) == NULL)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the name");
    helloworld__hello_request__free_unpacked(hello, NULL);
    return name;
}

static void say_hello(struct berth_call *call, const void *request, size_t length)
{
    const struct greeter_config *config = call->instance;
    char *name = take_name(call, request, length);
    Helloworld__HelloReply reply = HELLOWORLD__HELLO_REPLY__INIT;

    if (name == NULL)
        return;
    if (asprintf(&reply.message, "%s %s", config->greeting, name) < 0) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the greeting");
    } else {
        berth_call_reply_message(call, &reply.base);
        free(reply.message);
    }
    free(name);
}

const struct berth_handler greeter_say_hello = {
    .on_message = say_hello,
};

/* How far a name has been spelled. */
struct spelling {
    char *name;
    size_t next;
};

/* Bytes of the letter that begins here, in UTF-8. */
static size_t letter_length(const char *letter)
{
    size_t length = 1;

    while ((letter[length] & 0xc0) == 0x80)
        length++;
    return length;
}

static enum berth_code send_letter(struct berth_call *call, struct spelling *spelling)
{
    Helloworld__HelloReply reply = HELLOWORLD__HELLO_REPLY__INIT;
    size_t length = letter_length(spelling->name + spelling->next);
    enum berth_code code;

    reply.message = strndup(spelling->name + spelling->next, length);
    if (reply.message == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    spelling->next += length;
    code = berth_call_send_message(call, &reply.base);
    free(reply.message);
    return code;
}

/* Sends letters for as long as the caller keeps up; on_writable goes on where it was left. */
static void spell(struct berth_call *call)
{
    struct spelling *spelling = call->state;
    enum berth_code code = BERTH_OK;

    while (code == BERTH_OK && spelling->name[spelling->next] != '\0') {
        if (!berth_call_can_send(call))
            return;
        code = send_letter(call, spelling);
    }
    berth_call_finish(call, code, NULL);
}

static void spell_hello(struct berth_call *call, const void *request, size_t length)
{
    char *name = take_name(call, request, length);
    struct spelling *spelling;

    if (name == NULL)
        return;
    spelling = calloc(1, sizeof(*spelling));
    if (spelling == NULL) {
        free(name);
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory to spell a name");
        return;
    }
    spelling->name = name;
    call->state = spelling;
    spell(call);
}

static void on_spelling_end(struct berth_call *call, enum berth_code code)
{
    struct spelling *spelling = call->state;

    if (spelling != NULL)
        free(spelling->name);
    free(spelling);
}

const struct berth_handler greeter_spell_hello = {
    .on_message = spell_hello,
    .on_writable = spell,
    .on_end = on_spelling_end,
};

enum berth_code greeter_init(const struct berth_host *host, void *prepared, void **ret_instance,
                             struct berth_error *err)
{
    struct greeter_config *config = calloc(1, sizeof(*config));
    enum berth_code code;

    if (config == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the greeter");
    code = greeter_config_init(config, host->settings, err);
    if (code == BERTH_OK)
        *ret_instance = config;
    else
        free(config);
    return code;
}

enum berth_code greeter_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    greeter_config_finish(instance);
    free(instance);
    return BERTH_OK;
}
