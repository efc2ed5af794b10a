/* SPDX-License-Identifier: Apache-2.0 */
/* The service of containers in the fake host, and a client of it. */
#ifndef CONTAINERS_STAGE_H
#define CONTAINERS_STAGE_H

#include <protobuf-c/protobuf-c.h>

#include "service_stage.h"

#include <berth/types/containers.h>
#include <containerd/services/containers/v1/containers.pb-c.h>

#define METHODS "/containerd.services.containers.v1.Containers/"
#define MESSAGE(name) Containerd__Services__Containers__V1__##name

enum berth_code containers_service_init(const struct berth_host *host, void *prepared, void **ret_instance,
                                        struct berth_error *err);
enum berth_code containers_service_close(const struct berth_host *host, void *instance,
                                         struct berth_error *err);
extern const struct berth_containers containers_service_interface;

/* The namespaces service, as far as containers see it. */
static const struct berth_namespace_occupant *occupant;

static inline enum berth_code ensure(void *instance, struct berth_store_txn *txn, const char *name,
                                     struct berth_error *err)
{
    return berth_store_interface.put(txn, "namespaces", berth_store_text(name), berth_store_text(name), err);
}

static inline enum berth_code occupy(void *instance, const struct berth_namespace_occupant *who,
                                     struct berth_error *err)
{
    occupant = who;
    return BERTH_OK;
}

static inline void leave(void *instance, const struct berth_namespace_occupant *who)
{
    assert_ptr_equal(occupant, who);
    occupant = NULL;
}

static const struct berth_namespaces namespaces = {
    .size = sizeof(namespaces), .ensure = ensure, .occupy = occupy, .leave = leave};

static inline int make_stage(const char *settings)
{
    return stage_create("io.containerd.grpc.v1.containers", settings, BERTH_CONTAINERS_URI,
                        &containers_service_interface, &namespaces, containers_service_init);
}

static inline int set_up(void **state)
{
    return make_stage(NULL);
}

static inline int tear_down(void **state)
{
    return stage_destroy(containers_service_close) != 0 || occupant != NULL;
}

/* A container as a client gives it; NULL leaves a field out. Lists are "key=value key=value". */
struct given {
    const char *id;
    const char *labels;
    const char *image;
    const char *runtime;
    const char *spec;
    const char *snapshotter;
    const char *snapshot_key;
    const char *extensions;
};

/* The message made of it, and what it points to. */
struct asked {
    MESSAGE(Container) message;
    MESSAGE(Container__Runtime) runtime;
    Google__Protobuf__Any spec;
    Google__Protobuf__Timestamp time;
    MESSAGE(Container__LabelsEntry) labels[4];
    MESSAGE(Container__LabelsEntry) * label_pointers[4];
    MESSAGE(Container__ExtensionsEntry) extensions[4];
    MESSAGE(Container__ExtensionsEntry) * extension_pointers[4];
    Google__Protobuf__Any values[4];
    char *words[16];
    size_t word_count;
};

/* Cuts the next "key=value" off. */
static inline bool next_pair(struct asked *asked, const char **pairs, char **ret_key, char **ret_value)
{
    size_t length = *pairs == NULL ? 0 : strcspn(*pairs, " ");
    char *word;

    if (length == 0)
        return false;
    word = asked->words[asked->word_count++] = strndup(*pairs, length);
    *pairs += length + ((*pairs)[length] == ' ');
    *ret_key = word;
    *ret_value = strchr(word, '=');
    *(*ret_value)++ = '\0';
    return true;
}

static inline void add_labels(struct asked *asked, const char *pairs)
{
    char *key;
    char *value;

    asked->message.labels = asked->label_pointers;
    while (next_pair(asked, &pairs, &key, &value)) {
        size_t i = asked->message.n_labels++;

        containerd__services__containers__v1__container__labels_entry__init(&asked->labels[i]);
        asked->labels[i].key = key;
        asked->labels[i].value = value;
        asked->label_pointers[i] = &asked->labels[i];
    }
}

static inline void add_extensions(struct asked *asked, const char *pairs)
{
    char *key;
    char *value;

    asked->message.extensions = asked->extension_pointers;
    while (next_pair(asked, &pairs, &key, &value)) {
        size_t i = asked->message.n_extensions++;

        containerd__services__containers__v1__container__extensions_entry__init(&asked->extensions[i]);
        google__protobuf__any__init(&asked->values[i]);
        asked->values[i].type_url = value;
        asked->extensions[i].key = key;
        asked->extensions[i].value = &asked->values[i];
        asked->extension_pointers[i] = &asked->extensions[i];
    }
}

static inline void ask_for(struct asked *asked, const struct given *given)
{
    *asked = (struct asked){.word_count = 0};
    containerd__services__containers__v1__container__init(&asked->message);
    containerd__services__containers__v1__container__runtime__init(&asked->runtime);
    google__protobuf__any__init(&asked->spec);
    google__protobuf__timestamp__init(&asked->time);
    asked->message.id = stage_text(given->id);
    asked->message.image = stage_text(given->image);
    asked->message.snapshotter = stage_text(given->snapshotter);
    asked->message.snapshot_key = stage_text(given->snapshot_key);
    asked->runtime.name = stage_text(given->runtime);
    asked->message.runtime = given->runtime == NULL ? NULL : &asked->runtime;
    asked->spec.type_url = stage_text(given->spec);
    asked->message.spec = given->spec == NULL ? NULL : &asked->spec;
    asked->time.seconds = -62135596800;
    asked->message.created_at = asked->message.updated_at = &asked->time;
    add_labels(asked, given->labels);
    add_extensions(asked, given->extensions);
}

static inline void forget(struct asked *asked)
{
    for (size_t i = 0; i < asked->word_count; i++)
        free(asked->words[i]);
}

static inline void create_in(const char *namespace_name, const struct given *given)
{
    MESSAGE(CreateContainerRequest)
    request = CONTAINERD__SERVICES__CONTAINERS__V1__CREATE_CONTAINER_REQUEST__INIT;
    struct asked asked;

    ask_for(&asked, given);
    request.container = &asked.message;
    stage_call(namespace_name, METHODS "Create", &request.base);
    forget(&asked);
}

static inline void create(const struct given *given)
{
    create_in("default", given);
}

static inline void update(const struct given *given, const char *path)
{
    MESSAGE(UpdateContainerRequest)
    request = CONTAINERD__SERVICES__CONTAINERS__V1__UPDATE_CONTAINER_REQUEST__INIT;
    Google__Protobuf__FieldMask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
    char *paths[] = {stage_text(path)};
    struct asked asked;

    ask_for(&asked, given);
    mask.n_paths = 1;
    mask.paths = paths;
    request.container = &asked.message;
    request.update_mask = path == NULL ? NULL : &mask;
    stage_call("default", METHODS "Update", &request.base);
    forget(&asked);
}

static inline void get_in(const char *namespace_name, const char *id)
{
    MESSAGE(GetContainerRequest)
    request = CONTAINERD__SERVICES__CONTAINERS__V1__GET_CONTAINER_REQUEST__INIT;

    request.id = stage_text(id);
    stage_call(namespace_name, METHODS "Get", &request.base);
}

static inline void delete_(const char *id)
{
    MESSAGE(DeleteContainerRequest)
    request = CONTAINERD__SERVICES__CONTAINERS__V1__DELETE_CONTAINER_REQUEST__INIT;

    request.id = stage_text(id);
    stage_call("default", METHODS "Delete", &request.base);
}

static inline struct berth_testing_call *list(const char *method, const char *filter)
{
    MESSAGE(ListContainersRequest)
    request = CONTAINERD__SERVICES__CONTAINERS__V1__LIST_CONTAINERS_REQUEST__INIT;
    char *filters[] = {stage_text(filter)};

    request.filters = filters;
    request.n_filters = filter != NULL;
    return stage_call("default", method, &request.base);
}

/* The reply at `i`, all of which have containers as their field 1. */
static inline MESSAGE(ListContainersResponse) * reply_at(size_t i)
{
    size_t length;
    const void *bytes = berth_testing_call_reply(stage.call, i, &length);

    assert_non_null(bytes);
    return containerd__services__containers__v1__list_containers_response__unpack(NULL, length, bytes);
}

static inline void show(const MESSAGE(Container) * container, char *shown, size_t size)
{
    snprintf(shown, size, "%s image=%s runtime=%s spec=%s snapshot=%s/%s", container->id, container->image,
             container->runtime->name, container->spec->type_url, container->snapshotter,
             container->snapshot_key);
    for (size_t i = 0; i < container->n_labels; i++)
        snprintf(shown + strlen(shown), size - strlen(shown), " %s=%s", container->labels[i]->key,
                 container->labels[i]->value);
    for (size_t i = 0; i < container->n_extensions; i++)
        snprintf(shown + strlen(shown), size - strlen(shown), " +%s=%s", container->extensions[i]->key,
                 container->extensions[i]->value->type_url);
}

static inline void assert_replied(const char *expected)
{
    MESSAGE(ListContainersResponse) * reply;
    char shown[2048];

    stage_assert(BERTH_OK, "");
    reply = reply_at(0);
    assert_non_null(reply);
    assert_int_equal(reply->n_containers, 1);
    show(reply->containers[0], shown, sizeof(shown));
    assert_true(reply->containers[0]->created_at->seconds > 1600000000);
    assert_true(reply->containers[0]->updated_at->seconds >= reply->containers[0]->created_at->seconds);
    protobuf_c_message_free_unpacked(&reply->base, NULL);
    assert_string_equal(shown, expected);
}

/* The ids of all replies of List or ListStream. */
static inline void ids_of(char *ids, size_t size)
{
    *ids = '\0';
    for (size_t i = 0; i < berth_testing_call_reply_count(stage.call); i++) {
        MESSAGE(ListContainersResponse) *reply = reply_at(i);

        for (size_t k = 0; k < reply->n_containers; k++)
            snprintf(ids + strlen(ids), size - strlen(ids), "%s%s", *ids == '\0' ? "" : " ",
                     reply->containers[k]->id);
        protobuf_c_message_free_unpacked(&reply->base, NULL);
    }
}

static const struct given plain = {.id = "c1", .runtime = "runc", .spec = "oci"};
static const struct given full = {
    .id = "c2",
    .labels = "b=2 a=1 empty=",
    .image = "busybox",
    .runtime = "kata",
    .spec = "oci",
    .snapshotter = "native",
    .snapshot_key = "s2",
    .extensions = "x=1 y=2",
};

static inline void damage(const char *id)
{
    assert_true(berth_store_memory_damage(stage.memory, "containers/default", berth_store_text(id)));
}

static inline void make_three_of_which_one_is_damaged(void)
{
    static const char *const made[] = {"a", "b", "c"};

    for (size_t i = 0; i < 3; i++)
        create(&(const struct given){.id = made[i], .runtime = "runc", .spec = "oci"});
    damage("b");
}

#define DAMAGED "bucket containers/default, key \"b\": the entry is damaged"

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
