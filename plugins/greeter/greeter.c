/* SPDX-License-Identifier: Apache-2.0 */
/* Says hello: the smallest plugin with a service and settings of its own. */
#include "greeter-plugin.h"

#include <stdlib.h>

/* Is the name short enough? Where it is not, the call has been refused. */
static bool check_name(struct berth_call *call, const char *name)
{
    const struct greeter_config *config = call->instance;
    size_t length = strlen(name);
    char reason[128];

    if (length <= (size_t)config->max_name)
        return true;
    snprintf(reason, sizeof(reason), "the name has %zu bytes; max_name allows %lld", length,
             (long long)config->max_name);
    berth_call_finish(call, BERTH_INVALID_ARGUMENT, reason);
    return false;
}

static void say_hello(struct berth_call *call, const Helloworld__HelloRequest *request)
{
    const struct greeter_config *config = call->instance;
    Helloworld__HelloReply reply = HELLOWORLD__HELLO_REPLY__INIT;

    if (!check_name(call, request->name))
        return;
    if (asprintf(&reply.message, "%s %s", config->greeting, request->name) < 0) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the greeting");
        return;
    }
    helloworld_greeter_say_hello_reply(call, &reply);
    free(reply.message);
}

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
    code = helloworld_greeter_spell_hello_send(call, &reply);
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

static void spell_hello(struct berth_call *call, const Helloworld__HelloRequest *request)
{
    struct spelling *spelling;

    if (!check_name(call, request->name))
        return;
    spelling = calloc(1, sizeof(*spelling));
    call->state = spelling;
    if (spelling == NULL || (spelling->name = strdup(request->name)) == NULL)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory to spell a name");
    else
        spell(call);
}

static void on_spelling_end(struct berth_call *call, enum berth_code code)
{
    struct spelling *spelling = call->state;

    if (spelling != NULL)
        free(spelling->name);
    free(spelling);
}

const struct helloworld_greeter_handlers greeter_greeter_handlers = {
    .say_hello = {.on_message = say_hello},
    .spell_hello = {.on_message = spell_hello, .on_writable = spell, .on_end = on_spelling_end},
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

/* Strings belong to the settings: all of them are taken anew. */
enum berth_code greeter_reconfigure(const struct berth_host *host, void *instance,
                                    const struct berth_settings *before, struct berth_error *err)
{
    struct greeter_config *config = instance, changed;
    enum berth_code code = greeter_config_init(&changed, host->settings, err);

    if (code != BERTH_OK)
        return code;
    greeter_config_finish(config);
    *config = changed;
    return BERTH_OK;
}

enum berth_code greeter_migrate(const struct berth_migration *migration, struct berth_error *err)
{
    const struct berth_settings *settings = migration->settings;
    const struct berth_value *long_names = settings->find(settings->root, "long_names");
    enum berth_code code;

    if (long_names == NULL)
        return BERTH_OK;
    code = migration->set(migration, "max_name", settings->boolean(long_names) ? "1MiB" : "4KiB", err);
    return code == BERTH_OK ? migration->remove(migration, "long_names") : code;
}
