/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces as containerd's clients know them: codes, sentences, labels, events. */
#include <protobuf-c/protobuf-c.h>

#include "service_stage.h"

#include <containerd/events/namespace.pb-c.h>
#include <containerd/services/namespaces/v1/namespace.pb-c.h>

#define METHODS "/containerd.services.namespaces.v1.Namespaces/"
#define SERVICE(name) Containerd__Services__Namespaces__V1__##name

enum berth_code namespaces_service_init(const struct berth_host *host, void *prepared, void **ret_instance,
                                        struct berth_error *err);
enum berth_code namespaces_service_close(const struct berth_host *host, void *instance,
                                         struct berth_error *err);
extern const struct berth_namespaces namespaces_service_interface;

typedef SERVICE(Namespace) namespace_message;
typedef SERVICE(Namespace__LabelsEntry) label_message;

static int set_up(void **state)
{
    return stage_create("io.containerd.grpc.v1.namespaces", NULL, BERTH_NAMESPACES_URI,
                        &namespaces_service_interface, NULL, namespaces_service_init);
}

static int tear_down(void **state)
{
    return stage_destroy(namespaces_service_close);
}

/* "key=value key=value" */
struct asked {
    namespace_message message;
    label_message labels[4];
    label_message *pointers[4];
    char words[4][5000];
};

static void ask_for(struct asked *asked, const char *name, const char *labels)
{
    containerd__services__namespaces__v1__namespace__init(&asked->message);
    asked->message.name = stage_text(name);
    asked->message.labels = asked->pointers;
    while (labels != NULL && *labels != '\0') {
        size_t i = asked->message.n_labels++;
        size_t length = strcspn(labels, " ");
        size_t key = strcspn(labels, "=");

        assert_true(i < 4 && length < sizeof(asked->words[i]));
        memcpy(asked->words[i], labels, length);
        asked->words[i][length] = asked->words[i][key] = '\0';
        containerd__services__namespaces__v1__namespace__labels_entry__init(&asked->labels[i]);
        asked->labels[i].key = asked->words[i];
        asked->labels[i].value = asked->words[i] + key + 1;
        asked->pointers[i] = &asked->labels[i];
        labels += length + (labels[length] == ' ');
    }
}

static void create(const char *name, const char *labels)
{
    SERVICE(CreateNamespaceRequest)
    request = CONTAINERD__SERVICES__NAMESPACES__V1__CREATE_NAMESPACE_REQUEST__INIT;
    struct asked *asked = calloc(1, sizeof(*asked));

    ask_for(asked, name, labels);
    request.namespace_ = &asked->message;
    stage_call(NULL, METHODS "Create", &request.base);
    free(asked);
}

static void update(const char *name, const char *labels, const char *path)
{
    SERVICE(UpdateNamespaceRequest)
    request = CONTAINERD__SERVICES__NAMESPACES__V1__UPDATE_NAMESPACE_REQUEST__INIT;
    Google__Protobuf__FieldMask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
    struct asked *asked = calloc(1, sizeof(*asked));
    char *paths[] = {stage_text(path)};

    ask_for(asked, name, labels);
    mask.paths = paths;
    mask.n_paths = 1;
    request.namespace_ = &asked->message;
    request.update_mask = path == NULL ? NULL : &mask;
    stage_call(NULL, METHODS "Update", &request.base);
    free(asked);
}

static void delete_(const char *name)
{
    SERVICE(DeleteNamespaceRequest)
    request = CONTAINERD__SERVICES__NAMESPACES__V1__DELETE_NAMESPACE_REQUEST__INIT;

    request.name = stage_text(name);
    stage_call(NULL, METHODS "Delete", &request.base);
}

/* "name{key=value,key=value} name{} " of the last reply, which has namespaces as its field 1. */
static void assert_replied(const char *expected)
{
    size_t length;
    const void *bytes = berth_testing_call_reply(stage.call, 0, &length);
    SERVICE(ListNamespacesResponse) * reply;
    char shown[2048] = "";

    assert_int_equal(berth_testing_call_code(stage.call), BERTH_OK);
    reply = containerd__services__namespaces__v1__list_namespaces_response__unpack(NULL, length, bytes);
    assert_non_null(reply);
    for (size_t i = 0; i < reply->n_namespaces; i++) {
        const namespace_message *each = reply->namespaces[i];

        snprintf(shown + strlen(shown), sizeof(shown) - strlen(shown), "%s{", each->name);
        for (size_t k = 0; k < each->n_labels; k++)
            snprintf(shown + strlen(shown), sizeof(shown) - strlen(shown), "%s%s=%s", k == 0 ? "" : ",",
                     each->labels[k]->key, each->labels[k]->value);
        snprintf(shown + strlen(shown), sizeof(shown) - strlen(shown), "} ");
    }
    protobuf_c_message_free_unpacked(&reply->base, NULL);
    assert_string_equal(shown, expected);
}

static void assert_listed(const char *expected)
{
    SERVICE(ListNamespacesRequest)
    request = CONTAINERD__SERVICES__NAMESPACES__V1__LIST_NAMESPACES_REQUEST__INIT;

    request.filter = stage_text("nonsense==");
    stage_call(NULL, METHODS "List", &request.base);
    assert_replied(expected);
}

static void assert_got(const char *name, const char *expected)
{
    SERVICE(GetNamespaceRequest) request = CONTAINERD__SERVICES__NAMESPACES__V1__GET_NAMESPACE_REQUEST__INIT;

    request.name = stage_text(name);
    stage_call(NULL, METHODS "Get", &request.base);
    assert_replied(expected);
}

#define LONG_NAME "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

static void names_and_labels_are_checked_when_one_is_made(void **state)
{
    static char big[4200];
    const struct {
        const char *name;
        const char *labels;
        const char *sentence;
    } cases[] = {
        {"", NULL, "identifier must not be empty: invalid argument"},
        {"bad name", NULL,
         "identifier \"bad name\" must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$: invalid argument"},
        {LONG_NAME, NULL,
         "identifier \"" LONG_NAME "\" greater than maximum length (76 characters): invalid argument"},
        {"n1", big,
         "namespace.Labels: label key and value greater than maximum size (4096 bytes), key: io.example: "
         "invalid argument"},
        {"n1", "=v", "namespace.Labels: key required: invalid argument"},
    };

    memset(big, 'b', sizeof(big) - 1);
    memcpy(big, "io.example/key=", 15);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        create(cases[i].name, cases[i].labels);
        stage_assert(BERTH_INVALID_ARGUMENT, cases[i].sentence);
    }
    assert_listed("");
}

static void a_namespace_is_made_once_and_listed_in_byte_order(void **state)
{
    create("n2", NULL);
    create("B", "b=2 a=1 empty=");
    assert_replied("B{a=1,b=2} ");
    create("B", NULL);
    stage_assert(BERTH_ALREADY_EXISTS, "namespace \"B\": already exists");
    assert_listed("B{a=1,b=2} n2{} ");
    assert_got("B", "B{a=1,b=2} ");
    assert_string_equal(stage.told, "n2 /namespaces/create containerd.events.NamespaceCreate\n"
                                    "B /namespaces/create containerd.events.NamespaceCreate\n");
}

static void one_that_is_not_there_is_one_without_labels(void **state)
{
    assert_got("absent", "absent{} ");
    assert_got("bad name", "bad name{} ");
    assert_got("", "{} ");
    assert_listed("");
}

static void an_update_changes_what_its_mask_names(void **state)
{
    static const struct {
        const char *labels;
        const char *path;
        const char *expected;
    } cases[] = {
        {"a=2 b=3", "labels.a", "n{a=2,z=0} "},
        {"b.c/d=4", "labels.b.c/d", "n{a=2,b.c/d=4,z=0} "},
        {"a=", "labels.a", "n{b.c/d=4,z=0} "},
        {"", "labels.z", "n{b.c/d=4} "},
        {"", "labels.none", "n{b.c/d=4} "},
        {"c=4 d=5 e=", NULL, "n{c=4,d=5} "},
        {"", NULL, "n{} "},
    };

    create("n", "a=1 z=0");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        update("n", cases[i].labels, cases[i].path);
        assert_replied(cases[i].expected);
        assert_got("n", cases[i].expected);
    }
}

static void an_update_that_is_refused_changes_nothing(void **state)
{
    create("n", "a=1");
    update("n", "a=2", "labels");
    stage_assert(BERTH_INVALID_ARGUMENT, "cannot update \"labels\" field");
    update("n", "a=2", "name");
    stage_assert(BERTH_INVALID_ARGUMENT, "cannot update \"name\" field");
    update("n", "=2", "labels.");
    stage_assert(BERTH_INVALID_ARGUMENT, "namespace.Labels: key required: invalid argument");
    update("bad name", "a=2", NULL);
    stage_assert(
        BERTH_INVALID_ARGUMENT,
        "identifier \"bad name\" must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$: invalid argument");
    assert_listed("n{a=1} ");
}

static void an_update_of_an_unknown_name_makes_it(void **state)
{
    Containerd__Events__NamespaceUpdate *event;

    update("fresh", "a=1", "labels.a");
    assert_listed("fresh{a=1} ");
    assert_string_equal(stage.told, "fresh /namespaces/update containerd.events.NamespaceUpdate\n");
    event =
        containerd__events__namespace_update__unpack(NULL, stage.last_event.length, stage.last_event.data);
    assert_non_null(event);
    assert_string_equal(event->name, "fresh");
    assert_int_equal(event->n_labels, 1);
    protobuf_c_message_free_unpacked(&event->base, NULL);
}

static void messages_without_their_parts_are_answered(void **state)
{
    SERVICE(CreateNamespaceRequest)
    created = CONTAINERD__SERVICES__NAMESPACES__V1__CREATE_NAMESPACE_REQUEST__INIT;
    SERVICE(UpdateNamespaceRequest)
    updated = CONTAINERD__SERVICES__NAMESPACES__V1__UPDATE_NAMESPACE_REQUEST__INIT;

    stage_call(NULL, METHODS "Create", &created.base);
    stage_assert(BERTH_INVALID_ARGUMENT, "identifier must not be empty: invalid argument");
    stage_call(NULL, METHODS "Update", &updated.base);
    stage_assert(BERTH_INVALID_ARGUMENT, "identifier must not be empty: invalid argument");
}

static void strings_that_are_no_text_are_refused(void **state)
{
    create("\xff", NULL);
    stage_assert(
        BERTH_INVALID_ARGUMENT,
        "field namespace.name of containerd.services.namespaces.v1.CreateNamespaceRequest is not valid "
        "UTF-8");
}

static void one_that_is_not_there_cannot_be_removed(void **state)
{
    delete_("absent");
    stage_assert(BERTH_NOT_FOUND, "namespace \"absent\": not found");
    delete_("");
    stage_assert(BERTH_NOT_FOUND, "namespace \"\": not found");
    delete_("bad name");
    stage_assert(BERTH_NOT_FOUND, "namespace \"bad name\": not found");
}

static void what_occupies_a_namespace_keeps_it_and_the_rest_goes_with_it(void **state)
{
    static const struct berth_namespace_occupant containers = {
        .size = sizeof(containers), .kind = "containers", .bucket_prefix = "containers/"};
    static const struct berth_namespace_occupant leases = {.size = sizeof(leases),
                                                           .bucket_prefix = "leases/"};
    const struct berth_namespaces *service = &namespaces_service_interface;
    struct berth_store_txn *txn;
    struct berth_store_entry entry;
    struct berth_error err;

    assert_int_equal(service->occupy(stage.service, &containers, &err), BERTH_OK);
    assert_int_equal(service->occupy(stage.service, &leases, &err), BERTH_OK);
    create("n", NULL);
    stage_put_as_other("containers/n", "c", "x");
    stage_put_as_other("leases/n", "l1", "x");
    stage_put_as_other("leases/n", "l2", "x");
    stage_put_as_other("leases/other", "l", "x");
    delete_("n");
    stage_assert(BERTH_FAILED_PRECONDITION,
                 "namespace \"n\" must be empty, but it still has containers: failed precondition");
    stage_put_as_other("containers/n", "c", NULL);
    delete_("n");
    stage_assert(BERTH_OK, "");
    assert_listed("");
    assert_int_equal(berth_store_interface.begin(stage.memory, &txn, &err), BERTH_OK);
    assert_int_equal(berth_store_interface.next(txn, "leases/n", berth_store_text(""), &entry, &err),
                     BERTH_NOT_FOUND);
    assert_int_equal(berth_store_interface.next(txn, "leases/other", berth_store_text(""), &entry, &err),
                     BERTH_OK);
    berth_store_interface.end(txn);
    assert_non_null(strstr(stage.told, "n /namespaces/delete containerd.events.NamespaceDelete\n"));
    service->leave(stage.service, &containers);
    service->leave(stage.service, &leases);
}

static void a_damaged_namespace_can_be_removed_or_written_anew(void **state)
{
    const struct berth_namespaces *service = &namespaces_service_interface;
    const struct berth_namespace_occupant leases = {.size = sizeof(leases), .bucket_prefix = "leases/"};
    struct berth_error err;

    assert_int_equal(service->occupy(stage.service, &leases, &err), BERTH_OK);
    create("n1", "a=1");
    create("n2", "a=1 b=2");
    stage_put_as_other("leases/n1", "l1", "x");
    stage_put_as_other("leases/n1", "l2", "x");
    for (size_t i = 0; i < 2; i++)
        assert_true(
            berth_store_memory_damage(stage.memory, "namespaces", berth_store_text(i == 0 ? "n1" : "n2")));
    assert_true(berth_store_memory_damage(stage.memory, "leases/n1", berth_store_text("l1")));
    delete_("n1");
    stage_assert(BERTH_OK, "");
    update("n2", "c=3", "labels.c");
    assert_replied("n2{c=3} ");
    assert_listed("n2{c=3} ");
    service->leave(stage.service, &leases);
}

static void what_another_daemon_does_is_told_too(void **state)
{
    Containerd__Events__NamespaceDelete *event;

    stage_put_as_other("namespaces", "theirs", "\x0a\x06theirs");
    stage_put_as_other("namespaces", "theirs", "\x0a\x06theirs\x12\x06\x0a\x01k\x12\x01v");
    stage_put_as_other("namespaces", "theirs", NULL);
    stage_put_as_other("namespaces2", "no", "x");
    assert_string_equal(stage.told, "theirs /namespaces/create containerd.events.NamespaceCreate\n"
                                    "theirs /namespaces/update containerd.events.NamespaceUpdate\n"
                                    "theirs /namespaces/delete containerd.events.NamespaceDelete\n");
    event =
        containerd__events__namespace_delete__unpack(NULL, stage.last_event.length, stage.last_event.data);
    assert_string_equal(event->name, "theirs");
    protobuf_c_message_free_unpacked(&event->base, NULL);
}

static void fields_of_a_newer_program_survive_an_update(void **state)
{
    const void *reply;
    size_t length;

    stage_put_as_other("namespaces", "n", "\x0a\x01n\x9a\x06\x03new");
    update("n", "a=1", NULL);
    reply = berth_testing_call_reply(stage.call, 0, &length);
    assert_non_null(memmem(reply, length, "\x9a\x06\x03new", 6));
}

struct ensuring {
    struct berth_store_update update;
    enum berth_code code;
    bool is_done;
};

static enum berth_code ensure_two(struct berth_store_update *update, struct berth_store_txn *txn,
                                  struct berth_error *err)
{
    enum berth_code code = namespaces_service_interface.ensure(stage.service, txn, "made", err);

    return code == BERTH_OK ? namespaces_service_interface.ensure(stage.service, txn, "there", err) : code;
}

static void on_ensured(struct berth_store_update *update, enum berth_code code, const char *message)
{
    ((struct ensuring *)update)->code = code;
    ((struct ensuring *)update)->is_done = true;
}

static void the_first_object_makes_its_namespace_in_silence(void **state)
{
    struct ensuring ensuring = {.update = {.change = ensure_two, .done = on_ensured}};

    create("there", "a=1");
    stage.told[0] = '\0';
    berth_store_interface.update(stage.memory, &ensuring.update);
    assert_true(berth_testing_run_until(stage.testing, stage_is_set, &ensuring.is_done));
    assert_int_equal(ensuring.code, BERTH_OK);
    assert_listed("made{} there{a=1} ");
    assert_string_equal(stage.told, "");
}

static void a_call_that_is_cancelled_leaves_its_change_to_end(void **state)
{
    const struct berth_testing_call_options options = {.transport = "grpc"};

    berth_testing_call_destroy(stage.call);
    stage.call = berth_testing_call_create(stage.testing, METHODS "Create", &options);
    berth_testing_call_send(stage.call, "\x0a\x03\x0a\x01n", 5);
    berth_testing_call_half_close(stage.call);
    berth_testing_call_cancel(stage.call);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_and_labels_are_checked_when_one_is_made),
        TEST(a_namespace_is_made_once_and_listed_in_byte_order),
        TEST(one_that_is_not_there_is_one_without_labels),
        TEST(an_update_changes_what_its_mask_names),
        TEST(an_update_that_is_refused_changes_nothing),
        TEST(an_update_of_an_unknown_name_makes_it),
        TEST(messages_without_their_parts_are_answered),
        TEST(strings_that_are_no_text_are_refused),
        TEST(one_that_is_not_there_cannot_be_removed),
        TEST(what_occupies_a_namespace_keeps_it_and_the_rest_goes_with_it),
        TEST(a_damaged_namespace_can_be_removed_or_written_anew),
        TEST(what_another_daemon_does_is_told_too),
        TEST(fields_of_a_newer_program_survive_an_update),
        TEST(the_first_object_makes_its_namespace_in_silence),
        TEST(a_call_that_is_cancelled_leaves_its_change_to_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
