/* SPDX-License-Identifier: Apache-2.0 */
/* Containers as containerd's clients know them: codes, sentences, masks, events. */
#include "containers_stage.h"

#include <containerd/events/container.pb-c.h>

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
    assert_int_equal(berth_testing_call_code(stage.call), BERTH_PENDING);
    berth_testing_call_cancel(stage.call);
    assert_int_equal(berth_testing_call_code(stage.call), BERTH_CANCELLED);
    berth_testing_run(stage.testing);
    get_in("default", "c");
    assert_replied("c image= runtime=runc spec=oci snapshot=/");
}

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
        TEST(each_change_is_told),
        TEST(what_another_daemon_does_is_told_too),
        TEST(fields_of_a_newer_program_survive_an_update),
        TEST(a_damaged_container_is_said_to_be_one),
        TEST(a_damaged_container_can_be_removed_and_made_again),
        TEST(a_call_that_is_cancelled_leaves_its_change_to_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
