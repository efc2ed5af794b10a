/* SPDX-License-Identifier: Apache-2.0 */
/* Containers as containerd's clients know them: codes, sentences, masks, filters, lists, events. */
#include <protobuf-c/protobuf-c.h>

#include "service_stage.h"

#include <berth/types/containers.h>
#include <containerd/events/container.pb-c.h>
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

static enum berth_code ensure(void *instance, struct berth_store_txn *txn, const char *name,
                              struct berth_error *err)
{
    return berth_store_interface.put(txn, "namespaces", berth_store_text(name), berth_store_text(name), err);
}

static enum berth_code occupy(void *instance, const struct berth_namespace_occupant *who,
                              struct berth_error *err)
{
    occupant = who;
    return BERTH_OK;
}

static void leave(void *instance, const struct berth_namespace_occupant *who)
{
    assert_ptr_equal(occupant, who);
    occupant = NULL;
}

static const struct berth_namespaces namespaces = {
    .size = sizeof(namespaces), .ensure = ensure, .occupy = occupy, .leave = leave};

static int make_stage(const char *settings)
{
    return stage_create("io.containerd.grpc.v1.containers", settings, BERTH_CONTAINERS_URI,
                        &containers_service_interface, &namespaces, containers_service_init);
}

static int set_up(void **state)
{
    return make_stage(NULL);
}

static int set_up_for_short_lists(void **state)
{
    return make_stage("max_list_bytes: 1KiB");
}

static int tear_down(void **state)
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
static bool next_pair(struct asked *asked, const char **pairs, char **ret_key, char **ret_value)
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

static void add_labels(struct asked *asked, const char *pairs)
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

static void add_extensions(struct asked *asked, const char *pairs)
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

static void ask_for(struct asked *asked, const struct given *given)
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

static void forget(struct asked *asked)
{
    for (size_t i = 0; i < asked->word_count; i++)
        free(asked->words[i]);
}

static void create_in(const char *namespace_name, const struct given *given)
{
    MESSAGE(CreateContainerRequest)
    request = CONTAINERD__SERVICES__CONTAINERS__V1__CREATE_CONTAINER_REQUEST__INIT;
    struct asked asked;

    ask_for(&asked, given);
    request.container = &asked.message;
    stage_call(namespace_name, METHODS "Create", &request.base);
    forget(&asked);
}

static void create(const struct given *given)
{
    create_in("default", given);
}

static void update(const struct given *given, const char *path)
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

static void get_in(const char *namespace_name, const char *id)
{
    MESSAGE(GetContainerRequest)
    request = CONTAINERD__SERVICES__CONTAINERS__V1__GET_CONTAINER_REQUEST__INIT;

    request.id = stage_text(id);
    stage_call(namespace_name, METHODS "Get", &request.base);
}

static void delete_(const char *id)
{
    MESSAGE(DeleteContainerRequest)
    request = CONTAINERD__SERVICES__CONTAINERS__V1__DELETE_CONTAINER_REQUEST__INIT;

    request.id = stage_text(id);
    stage_call("default", METHODS "Delete", &request.base);
}

static struct berth_testing_call *list(const char *method, const char *filter)
{
    MESSAGE(ListContainersRequest)
    request = CONTAINERD__SERVICES__CONTAINERS__V1__LIST_CONTAINERS_REQUEST__INIT;
    char *filters[] = {stage_text(filter)};

    request.filters = filters;
    request.n_filters = filter != NULL;
    return stage_call("default", method, &request.base);
}

/* The reply at `i`, all of which have containers as their field 1. */
static MESSAGE(ListContainersResponse) * reply_at(size_t i)
{
    size_t length;
    const void *bytes = berth_testing_call_reply(stage.call, i, &length);

    assert_non_null(bytes);
    return containerd__services__containers__v1__list_containers_response__unpack(NULL, length, bytes);
}

static void show(const MESSAGE(Container) * container, char *shown, size_t size)
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

static void assert_replied(const char *expected)
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
static void ids_of(char *ids, size_t size)
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

#define LONG_ID "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
#define INVALID "create container failed validation: "

static void what_is_created_is_checked_in_containerds_order(void **state)
{
    static char big[4200];
    const struct {
        struct given given;
        const char *sentence;
    } cases[] = {
        {{.id = NULL}, INVALID "container.ID: identifier must not be empty: invalid argument"},
        {{.id = "bad id"},
         INVALID "container.ID: identifier \"bad id\" must match "
                 "^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$: invalid argument"},
        {{.id = LONG_ID},
         INVALID "container.ID: identifier \"" LONG_ID
                 "\" greater than maximum length (76 characters): invalid argument"},
        {{.id = "c", .extensions = "=1", .labels = big},
         INVALID "container.Extension keys must not be zero-length: invalid argument"},
        {{.id = "c", .labels = big},
         INVALID "containers.Labels: label key and value greater than maximum size (4096 bytes), key: "
                 "containerd: invalid argument"},
        {{.id = "c", .labels = "=v"}, INVALID "containers.Labels: key required: invalid argument"},
        {{.id = "c", .spec = "oci"}, INVALID "container.Runtime.Name must be set: invalid argument"},
        {{.id = "c", .runtime = "", .spec = "oci"},
         INVALID "container.Runtime.Name must be set: invalid argument"},
        {{.id = "c", .runtime = "runc", .snapshot_key = "s"},
         INVALID "container.Spec must be set: invalid argument"},
        {{.id = "c", .runtime = "runc", .spec = "oci", .snapshot_key = "s"},
         INVALID "container.Snapshotter must be set if container.SnapshotKey is set: invalid argument"},
    };

    memset(big, 'b', sizeof(big) - 1);
    memcpy(big, "containerd.io/x=", 16);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        create(&cases[i].given);
        stage_assert(BERTH_INVALID_ARGUMENT, cases[i].sentence);
    }
}

static void a_container_is_made_once_and_read_as_it_was_given(void **state)
{
    create(&full);
    assert_replied("c2 image=busybox runtime=kata spec=oci snapshot=native/s2 a=1 b=2 +x=1 +y=2");
    create(&full);
    stage_assert(BERTH_ALREADY_EXISTS, "container \"c2\": already exists");
    get_in("default", "c2");
    assert_replied("c2 image=busybox runtime=kata spec=oci snapshot=native/s2 a=1 b=2 +x=1 +y=2");
    create_in("other", &full);
    stage_assert(BERTH_OK, "");
    assert_string_equal(occupant->kind, "containers");
    assert_string_equal(occupant->bucket_prefix, "containers/");
}

static void a_namespace_must_be_named_and_valid(void **state)
{
    static const char *const methods[] = {METHODS "Get",    METHODS "List",   METHODS "ListStream",
                                          METHODS "Create", METHODS "Delete", METHODS "Update"};
    MESSAGE(UpdateContainerRequest)
    request = CONTAINERD__SERVICES__CONTAINERS__V1__UPDATE_CONTAINER_REQUEST__INIT;
    struct asked asked;

    ask_for(&asked, &plain);
    request.container = &asked.message;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        static const MESSAGE(GetContainerRequest) nothing =
            CONTAINERD__SERVICES__CONTAINERS__V1__GET_CONTAINER_REQUEST__INIT;
        const ProtobufCMessage *sent = strstr(methods[i], "Update") != NULL ? &request.base : &nothing.base;

        stage_call(NULL, methods[i], sent);
        stage_assert(BERTH_FAILED_PRECONDITION, "namespace is required: failed precondition");
        stage_call("bad ns", methods[i], sent);
        stage_assert(BERTH_INVALID_ARGUMENT, "namespace validation: identifier \"bad ns\" must match "
                                             "^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$: invalid argument");
    }
}

/* A request of its pieces as a client may send them: each is one field 1, in hexadecimal above. */
struct pieces {
    const char *bytes;
    size_t length;
    enum berth_code code;
    const char *message;
};

#define ID "\x0a\2c7"
#define RUNTIME "\x22\6\x0a\4runc"
#define SPEC "\x2a\5\x0a\3oci"
#define BYTES(text) text, sizeof(text) - 1

/* What is passed on is checked, though it is never unpacked. */
static void a_request_is_checked_as_it_came(void **state)
{
    static const struct pieces cases[] = {
        {BYTES("\x0a\xff"), BERTH_INTERNAL,
         "grpc: error unmarshalling request: not a valid "
         "containerd.services.containers.v1.CreateContainerRequest"},
        {BYTES("\x0a\6" ID "\x22\7"), BERTH_INVALID_ARGUMENT,
         "invalid containerd.services.containers.v1.Container in "
         "containerd.services.containers.v1.Container"},
        {BYTES("\x0a\x08" ID "\x22\2\x0a\4"), BERTH_INVALID_ARGUMENT,
         "invalid containerd.services.containers.v1.Container.Runtime in "
         "containerd.services.containers.v1.Container"},
        {BYTES("\x0a\4\x0a\2c\0"), BERTH_INVALID_ARGUMENT,
         "field id of containerd.services.containers.v1.Container contains a NUL byte"},
        {BYTES("\x0a\x14" ID RUNTIME RUNTIME), BERTH_INVALID_ARGUMENT,
         "malformed containerd.services.containers.v1.Container of 20 bytes: invalid argument"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        stage_call_bytes("default", METHODS "Create", cases[i].bytes, cases[i].length);
        stage_assert(cases[i].code, cases[i].message);
    }
}

static void a_container_in_several_pieces_is_one(void **state)
{
    static const char created[] = "\x0a\4" ID "\x0a\x0f" RUNTIME SPEC;
    static const char updated[] = "\x0a\4" ID "\x0a\7\x1a\5image\x12\7\x0a\5image\x12\6\x0a\4spec\x0a\7" SPEC;
    stage_call_bytes("default", METHODS "Create", created, sizeof(created) - 1);
    stage_assert(BERTH_OK, "");
    stage_call_bytes("default", METHODS "Update", updated, sizeof(updated) - 1);
    stage_assert(BERTH_OK, "");
    get_in("default", "c7");
    stage_assert(BERTH_OK, "");
}

static void what_is_not_there_is_not_found_in_each_methods_words(void **state)
{
    const struct given absent = {.id = "c3", .runtime = "runc", .spec = "oci"};

    create(&plain);
    get_in("default", "c3");
    stage_assert(BERTH_NOT_FOUND, "container \"c3\" in namespace \"default\": not found");
    get_in("other", "c1");
    stage_assert(BERTH_NOT_FOUND, "container \"c1\" in namespace \"other\": not found");
    get_in("default", "");
    stage_assert(BERTH_NOT_FOUND, "container \"\" in namespace \"default\": not found");
    get_in("default", LONG_ID);
    stage_assert(BERTH_NOT_FOUND, "container \"" LONG_ID "\" in namespace \"default\": not found");
    delete_("c3");
    stage_assert(BERTH_NOT_FOUND, "container c3: not found");
    delete_("");
    stage_assert(BERTH_NOT_FOUND, "container : not found");
    delete_("bad id");
    stage_assert(BERTH_NOT_FOUND, "container bad id: not found");
    update(&absent, NULL);
    stage_assert(BERTH_NOT_FOUND, "container \"c3\": not found");
    update(&absent, "labels.a");
    stage_assert(BERTH_NOT_FOUND, "container \"c3\": not found");
}

static void an_update_changes_what_its_mask_names(void **state)
{
    static const struct {
        struct given given;
        const char *path;
        const char *expected;
    } cases[] = {
        {{.labels = "a=9 z=8"},
         "labels.a",
         "c2 image=busybox runtime=kata spec=oci snapshot=native/s2 a=9 b=2 +x=1 +y=2"},
        {{.labels = "b.c/d=4"},
         "labels.b.c/d",
         "c2 image=busybox runtime=kata spec=oci snapshot=native/s2 a=9 b=2 b.c/d=4 +x=1 +y=2"},
        {{.labels = "a="},
         "labels.a",
         "c2 image=busybox runtime=kata spec=oci snapshot=native/s2 b=2 b.c/d=4 +x=1 +y=2"},
        {{.labels = NULL},
         "labels.none",
         "c2 image=busybox runtime=kata spec=oci snapshot=native/s2 b=2 b.c/d=4 +x=1 +y=2"},
        {{.labels = "q=1 r="},
         "labels",
         "c2 image=busybox runtime=kata spec=oci snapshot=native/s2 q=1 +x=1 +y=2"},
        {{.image = "alpine"},
         "image",
         "c2 image=alpine runtime=kata spec=oci snapshot=native/s2 q=1 +x=1 +y=2"},
        {{.image = NULL}, "image", "c2 image= runtime=kata spec=oci snapshot=native/s2 q=1 +x=1 +y=2"},
        {{.spec = "oci2"}, "spec", "c2 image= runtime=kata spec=oci2 snapshot=native/s2 q=1 +x=1 +y=2"},
        {{.snapshot_key = "s3"},
         "snapshotkey",
         "c2 image= runtime=kata spec=oci2 snapshot=native/s3 q=1 +x=1 +y=2"},
        {{.extensions = "x=3 z=4"},
         "extensions.x",
         "c2 image= runtime=kata spec=oci2 snapshot=native/s3 q=1 +x=3 +y=2"},
        {{.extensions = NULL},
         "extensions.y",
         "c2 image= runtime=kata spec=oci2 snapshot=native/s3 q=1 +x=3 +y=2"},
        {{.extensions = "z=4"},
         "extensions",
         "c2 image= runtime=kata spec=oci2 snapshot=native/s3 q=1 +x=3 +y=2 +z=4"},
        {{.runtime = "kata", .spec = "oci", .snapshotter = "native", .labels = "l=1", .extensions = "w=5"},
         NULL,
         "c2 image= runtime=kata spec=oci snapshot=native/ l=1 +w=5 +x=3 +y=2 +z=4"},
    };

    create(&full);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct given given = cases[i].given;

        given.id = "c2";
        update(&given, cases[i].path);
        assert_replied(cases[i].expected);
        get_in("default", "c2");
        assert_replied(cases[i].expected);
    }
}

static void an_update_that_is_refused_changes_nothing(void **state)
{
    static char big[4200];
    const struct {
        struct given given;
        const char *path;
        const char *sentence;
    } cases[] = {
        {{.id = "c1"}, "runtime", "cannot update \"runtime\" field on \"c1\": invalid argument"},
        {{.id = "c1"}, "snapshot_key", "cannot update \"snapshot_key\" field on \"c1\": invalid argument"},
        {{.id = "c1"}, "created_at", "cannot update \"created_at\" field on \"c1\": invalid argument"},
        {{.id = "c1"}, "", "cannot update \"\" field on \"c1\": invalid argument"},
        {{.id = NULL}, "labels.a", "Container.ID required"},
        {{.id = "c1", .labels = big},
         "labels",
         "update failed validation: containers.Labels: label key and value greater than maximum size (4096 "
         "bytes), key: x: invalid argument"},
        {{.id = "c1", .extensions = "=1"},
         "extensions",
         "update failed validation: container.Extension keys must not be zero-length: invalid argument"},
        {{.id = "c1"}, "spec", "update failed validation: container.Spec must be set: invalid argument"},
        {{.id = "c1", .snapshot_key = "s"},
         "snapshotkey",
         "update failed validation: container.Snapshotter must be set if container.SnapshotKey is set: "
         "invalid argument"},
        {{.id = "c1"}, NULL, "container.Runtime.Name field is immutable: invalid argument"},
        {{.id = "c1", .runtime = "runc", .spec = "oci", .snapshotter = "other"},
         NULL,
         "container.Snapshotter field is immutable: invalid argument"},
        {{.id = "c1", .runtime = "runc"},
         NULL,
         "update failed validation: container.Spec must be set: invalid argument"},
    };

    memset(big, 'b', sizeof(big) - 1);
    memcpy(big, "x=", 2);
    create(&plain);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        update(&cases[i].given, cases[i].path);
        stage_assert(BERTH_INVALID_ARGUMENT, cases[i].sentence);
    }
    get_in("default", "c1");
    assert_replied("c1 image= runtime=runc spec=oci snapshot=/");
}

static void messages_without_their_parts_are_answered(void **state)
{
    MESSAGE(CreateContainerRequest)
    created = CONTAINERD__SERVICES__CONTAINERS__V1__CREATE_CONTAINER_REQUEST__INIT;
    MESSAGE(UpdateContainerRequest)
    updated = CONTAINERD__SERVICES__CONTAINERS__V1__UPDATE_CONTAINER_REQUEST__INIT;

    stage_call("default", METHODS "Create", &created.base);
    stage_assert(BERTH_INVALID_ARGUMENT,
                 INVALID "container.ID: identifier must not be empty: invalid argument");
    stage_call("default", METHODS "Update", &updated.base);
    stage_assert(BERTH_INVALID_ARGUMENT, "Container.ID required");
}

static void the_times_are_the_servers(void **state)
{
    MESSAGE(ListContainersResponse) * first, *second;
    const struct given labelled = {.id = "c1", .labels = "a=1"};

    create(&plain);
    first = reply_at(0);
    update(&labelled, "labels.a");
    second = reply_at(0);
    assert_true(first->containers[0]->created_at->seconds > 1600000000);
    assert_true(first->containers[0]->created_at->seconds == second->containers[0]->created_at->seconds);
    assert_true(first->containers[0]->created_at->nanos == second->containers[0]->created_at->nanos);
    assert_true(second->containers[0]->updated_at->seconds > first->containers[0]->updated_at->seconds ||
                second->containers[0]->updated_at->nanos != first->containers[0]->updated_at->nanos);
    protobuf_c_message_free_unpacked(&first->base, NULL);
    protobuf_c_message_free_unpacked(&second->base, NULL);
}

static void filters_find_containers_by_their_fields(void **state)
{
    static const struct {
        const char *filter;
        const char *ids;
    } cases[] = {
        {NULL, "B a c1 c2"},
        {"", "B a c1 c2"},
        {"id==c1", "c1"},
        {"id~=^c", "c1 c2"},
        {"id!=c1", "B a c2"},
        {"image==busybox", "c2"},
        {"image", "c2"},
        {"image!=busybox", "B a c1"},
        {"runtime.name==kata", "c2"},
        {"runtime", ""},
        {"runtime.options", ""},
        {"labels.a==1", "c2"},
        {"labels.a", "a c2"},
        {"labels.\"io.x/y\"==v", "a"},
        {"labels.io.\"x/y\"==v", "a"},
        {"labels.io", ""},
        {"labels", ""},
        {"id~=^c,labels.b==2,image~=busy", "c2"},
        {"spec", ""},
        {"nonsense!=1", "B a c1 c2"},
    };
    const struct given labelled = {
        .id = "a", .runtime = "runc", .spec = "oci", .labels = "a= io.x/y=v a.b=c"};
    const struct given last = {.id = "B", .runtime = "runc", .spec = "oci"};
    const struct given emptied = {.id = "a", .labels = "a=3"};
    char ids[256];

    create(&plain);
    create(&full);
    create(&labelled);
    create(&last);
    update(&emptied, "labels.a");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        list(METHODS "List", cases[i].filter);
        stage_assert(BERTH_OK, "");
        ids_of(ids, sizeof(ids));
        assert_string_equal(ids, cases[i].ids);
        list(METHODS "ListStream", cases[i].filter);
        stage_assert(BERTH_OK, "");
        ids_of(ids, sizeof(ids));
        assert_string_equal(ids, cases[i].ids);
    }
}

static void a_filter_that_is_none_is_refused(void **state)
{
    list(METHODS "List", "id==");
    stage_assert(
        BERTH_INVALID_ARGUMENT,
        "filters: parse error: [id==]: expected value or quoted: invalid argument: invalid argument");
    list(METHODS "ListStream", "id==");
    stage_assert(
        BERTH_INVALID_ARGUMENT,
        "filters: parse error: [id==]: expected value or quoted: invalid argument: invalid argument");
}

static void empty_filters_let_all_through_however_many(void **state)
{
    MESSAGE(ListContainersRequest)
    request = CONTAINERD__SERVICES__CONTAINERS__V1__LIST_CONTAINERS_REQUEST__INIT;
    char *filters[] = {stage_text(""), stage_text("id==c2"), stage_text(""), stage_text("")};
    char ids[64];

    create(&plain);
    create(&full);
    request.filters = filters;
    request.n_filters = 4;
    stage_call("default", METHODS "ListStream", &request.base);
    stage_assert(BERTH_OK, "");
    ids_of(ids, sizeof(ids));
    assert_string_equal(ids, "c1 c2");
}

static void a_stream_goes_on_behind_what_was_sent_whatever_changed_meanwhile(void **state)
{
    const struct berth_testing_call_options options = {.namespace_name = "default", .transport = "grpc"};
    struct berth_testing_call *slow;
    char ids[256];

    for (int i = 0; i < 9; i++) {
        char id[8];
        const struct given given = {.id = id, .runtime = "runc", .spec = "oci"};

        snprintf(id, sizeof(id), "c%d", i * 2);
        if (i < 5)
            create(&given);
    }
    slow = berth_testing_call_create(stage.testing, METHODS "ListStream", &options);
    berth_testing_call_set_slow(slow, true);
    berth_testing_call_send(slow, "", 0);
    berth_testing_call_half_close(slow);
    berth_testing_run(stage.testing);
    assert_int_equal(berth_testing_call_code(slow), BERTH_PENDING);
    assert_int_equal(berth_testing_call_reply_count(slow), 0);
    delete_("c4");
    create(&(const struct given){.id = "c5", .runtime = "runc", .spec = "oci"});
    berth_testing_call_set_slow(slow, false);
    berth_testing_run(stage.testing);
    assert_int_equal(berth_testing_call_code(slow), BERTH_OK);
    berth_testing_call_destroy(stage.call);
    stage.call = slow;
    ids_of(ids, sizeof(ids));
    assert_string_equal(ids, "c0 c2 c5 c6 c8");
}

static void a_stream_that_nobody_reads_ends_with_its_caller(void **state)
{
    const struct berth_testing_call_options options = {.namespace_name = "default", .transport = "grpc"};

    create(&plain);
    berth_testing_call_destroy(stage.call);
    stage.call = berth_testing_call_create(stage.testing, METHODS "ListStream", &options);
    berth_testing_call_set_slow(stage.call, true);
    berth_testing_call_send(stage.call, "\x0a\x02id", 4);
    berth_testing_call_half_close(stage.call);
    berth_testing_run(stage.testing);
    berth_testing_call_cancel(stage.call);
}

struct paging {
    char ids[256];
    size_t left;
    char last[80];
};

static bool take(void *context, const struct berth_store_entry *container)
{
    struct paging *paging = context;

    snprintf(paging->last, sizeof(paging->last), "%.*s", (int)container->key.length,
             (const char *)container->key.data);
    snprintf(paging->ids + strlen(paging->ids), sizeof(paging->ids) - strlen(paging->ids), " %s",
             paging->last);
    return --paging->left > 0;
}

static void a_listing_goes_on_after_a_key(void **state)
{
    struct paging paging = {.left = 2};
    struct berth_containers_query query = {.size = sizeof(query), .namespace_name = "default"};
    struct berth_error err;

    for (int i = 0; i < 5; i++) {
        char id[8];

        snprintf(id, sizeof(id), "c%d", i);
        create(&(const struct given){.id = id, .runtime = "runc", .spec = "oci"});
    }
    assert_int_equal(containers_service_interface.list(stage.service, NULL, &query, take, &paging, &err),
                     BERTH_OK);
    assert_string_equal(paging.ids, " c0 c1");
    query.after = berth_store_text(paging.last);
    paging.left = 99;
    delete_("c1");
    assert_int_equal(containers_service_interface.list(stage.service, NULL, &query, take, &paging, &err),
                     BERTH_OK);
    assert_string_equal(paging.ids, " c0 c1 c2 c3 c4");
}

static void a_list_that_is_too_large_for_one_message_says_what_helps(void **state)
{
    const size_t large = 1000 * 1000;
    char *value = malloc(large + 8);
    char id[8];

    assert_non_null(value);
    memcpy(value, "\x1a\xc0\x84\x3d", 4);
    memset(value + 4, 'i', large);
    value[large + 4] = '\0';
    for (int i = 0; i < 17; i++) {
        snprintf(id, sizeof(id), "c%d", i);
        stage_put_as_other("containers/default", id, value);
        stage.told[0] = '\0';
    }
    free(value);
    list(METHODS "List", NULL);
    stage_assert(
        BERTH_RESOURCE_EXHAUSTED,
        "a list of more than 16 containers exceeds max_list_bytes (16777216): narrow the filters, or "
        "use ListStream, which sends each in a message of its own");
    list(METHODS "ListStream", NULL);
    stage_assert(BERTH_OK, "");
    assert_int_equal(berth_testing_call_reply_count(stage.call), 17);
}

static void a_list_is_bounded_by_max_list_bytes(void **state)
{
    char id[8];

    for (int i = 0; i < 40; i++) {
        snprintf(id, sizeof(id), "c%02d", i);
        create(&(struct given){
            .id = id, .image = "docker.io/library/busybox:1", .runtime = "runc", .spec = "oci"});
        stage_assert(BERTH_OK, "");
    }
    list(METHODS "List", NULL);
    assert_int_equal(berth_testing_call_code(stage.call), BERTH_RESOURCE_EXHAUSTED);
    list(METHODS "List", "id~=\"c0[0-4]\"");
    stage_assert(BERTH_OK, "");
    list(METHODS "ListStream", NULL);
    assert_int_equal(berth_testing_call_reply_count(stage.call), 40);
}

/* More than one turn of the loop visits. */
#define MANY 5000

/* Without a turn of the loop. @param value  NULL: removes it. */
static void write_as_other(const char *id, const char *value)
{
    const struct berth_store_bytes bytes = {value, value == NULL ? 0 : strlen(value)};
    struct berth_error err;

    assert_int_equal(berth_store_memory_write_as_other(stage.memory, "containers/default",
                                                       berth_store_text(id), bytes, &err),
                     BERTH_OK);
}

static void create_many(void)
{
    char id[8], value[16];

    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof(id), "c%04d", i);
        snprintf(value, sizeof(value), "\n\5%s", id);
        write_as_other(id, value);
    }
    /* The service sees them come. */
    for (int turn = 0; turn < 100; turn++)
        berth_testing_run(stage.testing);
    stage.told[0] = '\0';
}

static struct berth_testing_call *begin_list(const char *method, const char *filter)
{
    const struct berth_testing_call_options options = {.namespace_name = "default", .transport = "grpc"};
    struct berth_testing_call *call = berth_testing_call_create(stage.testing, method, &options);
    char request[64];
    int length = snprintf(request, sizeof(request), "\n%c%s", (char)strlen(filter), filter);

    berth_testing_call_send(call, request, (size_t)length);
    berth_testing_call_half_close(call);
    return call;
}

/* Of a list that goes on: how many turns of the loop it has had, and what happens after the first. */
struct turns {
    uv_check_t check;
    struct berth_testing_call *call;
    void (*after_first)(struct berth_testing_call *call);
    int count;
};

static void on_turn(uv_check_t *check)
{
    struct turns *turns = check->data;

    if (berth_testing_call_code(turns->call) == BERTH_PENDING && ++turns->count == 2)
        turns->after_first(turns->call);
}

/* The call that is begun here is the stage's. */
static void run_list(struct turns *turns, const char *method, const char *filter)
{
    uv_loop_t *loop = berth_testing_loop(stage.testing);

    berth_testing_call_destroy(stage.call);
    turns->count = 0;
    turns->call = stage.call = begin_list(method, filter);
    assert_int_equal(uv_check_init(loop, &turns->check), 0);
    turns->check.data = turns;
    assert_int_equal(uv_check_start(&turns->check, on_turn), 0);
    for (int i = 0; i < 100 && berth_testing_call_code(stage.call) == BERTH_PENDING; i++)
        berth_testing_run(stage.testing);
    uv_close((uv_handle_t *)&turns->check, NULL);
    berth_testing_run(stage.testing);
}

/* Behind what the first turn visited, and before. */
static void change_both_ends(struct berth_testing_call *call)
{
    write_as_other("c9999", "\n\5c9999");
    write_as_other("c0001", NULL);
}

static void a_list_of_many_takes_several_turns_of_the_loop(void **state)
{
    static const char *const methods[] = {METHODS "List", METHODS "ListStream"};
    struct turns turns = {.after_first = change_both_ends};
    char ids[256];

    create_many();
    for (size_t i = 0; i < 2; i++) {
        run_list(&turns, methods[i], "id~=\"c(0001|3499|4999|9999)\"");
        stage_assert(BERTH_OK, "");
        assert_true(turns.count > 2);
        ids_of(ids, sizeof(ids));
        assert_string_equal(ids, "c0001 c3499 c4999 c9999");
        write_as_other("c9999", NULL);
        write_as_other("c0001", "\n\5c0001");
        berth_testing_run(stage.testing);
    }
}

static void a_list_of_many_that_its_caller_gives_up_ends(void **state)
{
    struct turns turns = {.after_first = berth_testing_call_cancel};

    create_many();
    run_list(&turns, METHODS "List", "id==nothing");
    assert_int_equal(berth_testing_call_code(stage.call), BERTH_CANCELLED);
    assert_int_equal(turns.count, 2);
    run_list(&turns, METHODS "ListStream", "id==nothing");
    assert_int_equal(berth_testing_call_code(stage.call), BERTH_CANCELLED);
    assert_int_equal(turns.count, 2);
}

static void each_change_is_told(void **state)
{
    const struct given given = {.id = "c2", .labels = "n=1"};
    Containerd__Events__ContainerCreate *created;
    Containerd__Events__ContainerUpdate *updated;
    Containerd__Events__ContainerDelete *deleted;

    create(&full);
    created =
        containerd__events__container_create__unpack(NULL, stage.last_event.length, stage.last_event.data);
    assert_string_equal(created->id, "c2");
    assert_string_equal(created->image, "busybox");
    assert_string_equal(created->runtime->name, "kata");
    protobuf_c_message_free_unpacked(&created->base, NULL);
    update(&given, "labels.n");
    updated =
        containerd__events__container_update__unpack(NULL, stage.last_event.length, stage.last_event.data);
    assert_string_equal(updated->id, "c2");
    assert_string_equal(updated->snapshot_key, "s2");
    assert_int_equal(updated->n_labels, 3);
    protobuf_c_message_free_unpacked(&updated->base, NULL);
    delete_("c2");
    deleted =
        containerd__events__container_delete__unpack(NULL, stage.last_event.length, stage.last_event.data);
    assert_string_equal(deleted->id, "c2");
    protobuf_c_message_free_unpacked(&deleted->base, NULL);
    delete_("c2");
    assert_string_equal(stage.told, "default /containers/create containerd.events.ContainerCreate\n"
                                    "default /containers/update containerd.events.ContainerUpdate\n"
                                    "default /containers/delete containerd.events.ContainerDelete\n");
}

static void what_another_daemon_does_is_told_too(void **state)
{
    stage_put_as_other("containers/moby", "c",
                       "\x0a\x01"
                       "c");
    stage_put_as_other("containers/moby", "c",
                       "\x0a\x01"
                       "c\x1a\x01i");
    stage_put_as_other("containers/moby", "c", NULL);
    assert_string_equal(stage.told, "moby /containers/create containerd.events.ContainerCreate\n"
                                    "moby /containers/update containerd.events.ContainerUpdate\n"
                                    "moby /containers/delete containerd.events.ContainerDelete\n");
    assert_int_equal(stage.last_event.length, 3);
}

static void fields_of_a_newer_program_survive_an_update(void **state)
{
    static const char stored[] = "\x0a\x01"
                                 "c\x22\x06\x0a\x04runc\x2a\x05\x0a\x03oci\x5a\x03pod\x9a\x06\x03new";
    const struct given given = {.id = "c", .runtime = "runc", .spec = "oci", .labels = "a=1"};
    size_t length;
    const void *reply;

    stage_put_as_other("containers/default", "c", stored);
    update(&given, NULL);
    stage_assert(BERTH_OK, "");
    reply = berth_testing_call_reply(stage.call, 0, &length);
    assert_non_null(memmem(reply, length, "\x9a\x06\x03new", 6));
    assert_non_null(memmem(reply, length, "\x5a\x03pod", 5));
}

static void a_damaged_container_is_said_to_be_one(void **state)
{
    const struct given given = {.id = "c", .labels = "a=1"};

    stage_put_as_other("containers/default", "c", "\x0a\x7f");
    update(&given, "labels.a");
    stage_assert(BERTH_DATA_LOSS, "container \"c\" is damaged in the store");
}

static void damage(const char *id)
{
    assert_true(berth_store_memory_damage(stage.memory, "containers/default", berth_store_text(id)));
}

static void make_three_of_which_one_is_damaged(void)
{
    static const char *const made[] = {"a", "b", "c"};

    for (size_t i = 0; i < 3; i++)
        create(&(const struct given){.id = made[i], .runtime = "runc", .spec = "oci"});
    damage("b");
}

#define DAMAGED "bucket containers/default, key \"b\": the entry is damaged"

static void of_damaged_containers_a_list_says_so_and_a_stream_sends_the_others_first(void **state)
{
    static const char *const filters[] = {NULL, "id!=none", "id==a"};
    static const char *const sent[] = {"a c", "a c", "a"};
    char ids[64];

    make_three_of_which_one_is_damaged();
    for (size_t i = 0; i < 3; i++) {
        list(METHODS "List", filters[i]);
        stage_assert(BERTH_DATA_LOSS, DAMAGED);
        list(METHODS "ListStream", filters[i]);
        stage_assert(BERTH_DATA_LOSS, DAMAGED);
        ids_of(ids, sizeof(ids));
        assert_string_equal(ids, sent[i]);
    }
}

static void a_stream_that_met_a_damaged_container_says_so_however_slowly_it_is_read(void **state)
{
    const struct berth_testing_call_options options = {.namespace_name = "default", .transport = "grpc"};
    struct berth_testing_call *slow;
    char ids[64];

    make_three_of_which_one_is_damaged();
    damage("a");
    slow = berth_testing_call_create(stage.testing, METHODS "ListStream", &options);
    berth_testing_call_set_slow(slow, true);
    berth_testing_call_send(slow, "", 0);
    berth_testing_call_half_close(slow);
    berth_testing_run(stage.testing);
    assert_int_equal(berth_testing_call_code(slow), BERTH_PENDING);
    /* What it met is gone by now; its list is not complete all the same. */
    berth_testing_call_destroy(stage.call);
    stage.call = NULL;
    delete_("a");
    delete_("b");
    berth_testing_call_set_slow(slow, false);
    berth_testing_run(stage.testing);
    berth_testing_call_destroy(stage.call);
    stage.call = slow;
    stage_assert(BERTH_DATA_LOSS, "bucket containers/default, key \"a\": the entry is damaged");
    ids_of(ids, sizeof(ids));
    assert_string_equal(ids, "c");
}

static void do_nothing(struct berth_testing_call *call)
{
}

static void a_damaged_container_among_many_is_told_once_all_were_visited(void **state)
{
    static const char *const methods[] = {METHODS "List", METHODS "ListStream"};
    struct turns turns = {.after_first = do_nothing};

    create_many();
    damage("c0003");
    for (size_t i = 0; i < 2; i++) {
        run_list(&turns, methods[i], "id==c4999");
        stage_assert(BERTH_DATA_LOSS, "bucket containers/default, key \"c0003\": the entry is damaged");
        assert_int_equal(berth_testing_call_reply_count(stage.call), i);
        assert_true(turns.count > 2);
    }
}

static void a_damaged_container_can_be_removed_and_made_again(void **state)
{
    const struct given given = {.id = "b", .runtime = "runc", .spec = "oci"};
    char ids[64];

    make_three_of_which_one_is_damaged();
    get_in("default", "b");
    stage_assert(BERTH_DATA_LOSS, DAMAGED);
    create(&given);
    stage_assert(BERTH_DATA_LOSS, DAMAGED);
    update(&given, "labels");
    stage_assert(BERTH_DATA_LOSS, DAMAGED);
    delete_("b");
    stage_assert(BERTH_OK, "");
    list(METHODS "List", NULL);
    stage_assert(BERTH_OK, "");
    ids_of(ids, sizeof(ids));
    assert_string_equal(ids, "a c");
    create(&given);
    stage_assert(BERTH_OK, "");
}

static void a_call_that_is_cancelled_leaves_its_change_to_end(void **state)
{
    const struct berth_testing_call_options options = {.namespace_name = "default", .transport = "grpc"};
    static const char request[] = "\x0a\x12\x0a\x01"
                                  "c\x22\x06\x0a\x04runc\x2a\x05\x0a\x03oci";

    berth_testing_call_destroy(stage.call);
    stage.call = berth_testing_call_create(stage.testing, METHODS "Create", &options);
    berth_testing_call_send(stage.call, request, sizeof(request) - 1);
    berth_testing_call_half_close(stage.call);
    berth_testing_call_cancel(stage.call);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_created_is_checked_in_containerds_order),
        TEST(a_container_is_made_once_and_read_as_it_was_given),
        TEST(a_namespace_must_be_named_and_valid),
        TEST(a_request_is_checked_as_it_came),
        TEST(a_container_in_several_pieces_is_one),
        TEST(what_is_not_there_is_not_found_in_each_methods_words),
        TEST(an_update_changes_what_its_mask_names),
        TEST(an_update_that_is_refused_changes_nothing),
        TEST(messages_without_their_parts_are_answered),
        TEST(the_times_are_the_servers),
        TEST(filters_find_containers_by_their_fields),
        TEST(a_filter_that_is_none_is_refused),
        TEST(empty_filters_let_all_through_however_many),
        TEST(a_stream_goes_on_behind_what_was_sent_whatever_changed_meanwhile),
        TEST(a_stream_that_nobody_reads_ends_with_its_caller),
        TEST(a_listing_goes_on_after_a_key),
        TEST(a_list_that_is_too_large_for_one_message_says_what_helps),
        cmocka_unit_test_setup_teardown(a_list_is_bounded_by_max_list_bytes, set_up_for_short_lists,
                                        tear_down),
        TEST(a_list_of_many_takes_several_turns_of_the_loop),
        TEST(a_list_of_many_that_its_caller_gives_up_ends),
        TEST(a_damaged_container_among_many_is_told_once_all_were_visited),
        TEST(each_change_is_told),
        TEST(what_another_daemon_does_is_told_too),
        TEST(fields_of_a_newer_program_survive_an_update),
        TEST(a_damaged_container_is_said_to_be_one),
        TEST(of_damaged_containers_a_list_says_so_and_a_stream_sends_the_others_first),
        TEST(a_stream_that_met_a_damaged_container_says_so_however_slowly_it_is_read),
        TEST(a_damaged_container_can_be_removed_and_made_again),
        TEST(a_call_that_is_cancelled_leaves_its_change_to_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
