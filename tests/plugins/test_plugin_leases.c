/* SPDX-License-Identifier: Apache-2.0 */
/* The leases service over a store in memory, and the time at which leases end, by a clock that the test sets.
 */
#include "plugin_stage.h"

#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <berth/store_memory.h>
#include <berth/types/leases.h>
#include <berth/types/namespaces.h>
#include <containerd/services/leases/v1/leases.pb-c.h>
#include <plugins/leases/expiry.h>
#include <plugins/leases/record.h>

#define SERVICE "io.containerd.service.v1.leases-service"

/* 2026-11-24T02:00:00Z */
#define BEGIN INT64_C(1795485600)

typedef Containerd__Services__Leases__V1__Lease lease_message;
typedef Containerd__Services__Leases__V1__Lease__LabelsEntry label_message;
typedef Containerd__Services__Leases__V1__Resource resource_message;

/* The clock on the wall, and the timer that is set by it. */
static struct {
    int64_t seconds;
    int fd;
    struct itimerspec asked;
} wall;

int __wrap_clock_gettime(clockid_t id, struct timespec *ret_now);
int __wrap_timerfd_create(clockid_t id, int flags);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *time, struct itimerspec *old);

int __wrap_clock_gettime(clockid_t id, struct timespec *ret_now)
{
    assert_int_equal(id, CLOCK_REALTIME);
    *ret_now = (struct timespec){.tv_sec = wall.seconds, .tv_nsec = 123456789};
    return 0;
}

int __wrap_timerfd_create(clockid_t id, int flags)
{
    assert_int_equal(id, CLOCK_REALTIME);
    wall.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return wall.fd;
}

static void ring_if_due(void)
{
    bool is_set = wall.asked.it_value.tv_sec != 0 || wall.asked.it_value.tv_nsec != 0;
    eventfd_t count;

    eventfd_read(wall.fd, &count);
    if (is_set && wall.asked.it_value.tv_sec <= wall.seconds)
        eventfd_write(wall.fd, 1);
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *time, struct itimerspec *old)
{
    assert_int_equal(flags, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
    wall.asked = *time;
    ring_if_due();
    return 0;
}

/* The namespaces that were asked for, and the answer. */
static struct {
    unsigned ensured;
    char last[BERTH_IDENTIFIER_MAX + 1];
    enum berth_code code;
    const struct berth_namespace_occupant *occupant;
} namespaces;

static enum berth_code ensure(void *instance, struct berth_store_txn *txn, const char *name,
                              struct berth_error *err)
{
    namespaces.ensured++;
    snprintf(namespaces.last, sizeof(namespaces.last), "%s", name);
    return berth_error_set(err, namespaces.code, "no namespace today");
}

static enum berth_code occupy(void *instance, const struct berth_namespace_occupant *occupant,
                              struct berth_error *err)
{
    namespaces.occupant = occupant;
    return BERTH_OK;
}

static void leave(void *instance, const struct berth_namespace_occupant *occupant)
{
    assert_ptr_equal(namespaces.occupant, occupant);
    namespaces.occupant = NULL;
}

static const struct berth_namespaces namespaces_table = {
    .size = sizeof(namespaces_table),
    .ensure = ensure,
    .occupy = occupy,
    .leave = leave,
};

/* The store in memory, which can refuse. */
static struct {
    bool refuses;
    unsigned begun;
    unsigned updates;
} faults;

static enum berth_code begin(void *instance, struct berth_store_txn **ret_txn, struct berth_error *err)
{
    faults.begun++;
    if (faults.refuses)
        return berth_error_set(err, BERTH_UNAVAILABLE, "the store is away");
    return berth_store_interface.begin(instance, ret_txn, err);
}

static void update(void *instance, struct berth_store_update *asked)
{
    faults.updates++;
    berth_store_interface.update(instance, asked);
}

static struct berth_store store;

static struct stage {
    struct berth_testing *testing;
    struct berth_store_memory *memory;
    const struct berth_leases *leases;
    void *instance;
} stage;

struct answer {
    unsigned count;
    enum berth_code code;
    char message[BERTH_ERROR_MAX];
    lease_message *lease;
};

static void make(const char *settings)
{
    memset(&stage, 0, sizeof(stage));
    wall.seconds = BEGIN;
    memset(&wall.asked, 0, sizeof(wall.asked));
    memset(&namespaces, 0, sizeof(namespaces));
    memset(&faults, 0, sizeof(faults));
    store = berth_store_interface;
    store.begin = begin;
    store.update = update;
    stage.testing = plugin_create(SERVICE, settings);
    stage.memory = berth_store_memory_create(berth_testing_loop(stage.testing));
    berth_testing_provide(stage.testing, "io.berth.store.v1.memory", &store, stage.memory);
    berth_testing_provide(stage.testing, BERTH_NAMESPACES_URI, &namespaces_table, NULL);
}

static void start(void)
{
    plugin_start(stage.testing);
    stage.leases = berth_testing_interface(stage.testing);
    stage.instance = berth_testing_instance(stage.testing);
    berth_testing_run(stage.testing);
}

static int set_up(void **state)
{
    make("{sweep_batch: 3, sweep_retry: 25s}");
    start();
    return 0;
}

static void on_store_closed(void *context)
{
    *(bool *)context = true;
}

static bool is_set(void *context)
{
    return *(bool *)context;
}

static int tear_down(void **state)
{
    struct berth_error err = {""};
    bool closed = false;

    berth_testing_close(stage.testing, &err);
    berth_store_memory_close(stage.memory, on_store_closed, &closed);
    assert_true(berth_testing_run_until(stage.testing, is_set, &closed));
    plugin_destroy(stage.testing);
    assert_null(namespaces.occupant);
    return 0;
}

static void on_done(void *context, enum berth_code code, const char *message, struct berth_store_bytes value)
{
    struct answer *answer = context;

    answer->count++;
    answer->code = code;
    snprintf(answer->message, sizeof(answer->message), "%s", message != NULL ? message : "");
    if (value.data != NULL)
        answer->lease = containerd__services__leases__v1__lease__unpack(NULL, value.length, value.data);
}

static void wait_for(struct answer *answer, enum berth_code refused, const struct berth_error *err)
{
    if (refused == BERTH_OK) {
        assert_int_equal(answer->count, 0);
        berth_testing_run(stage.testing);
        assert_int_equal(answer->count, 1);
        return;
    }
    answer->code = refused;
    memcpy(answer->message, err->message, sizeof(answer->message));
}

/* Labels are "key=value", NULL-ended. */
static size_t pack_lease(uint8_t *bytes, const char *id, const char *const *labels)
{
    static char keys[16][512];
    lease_message lease = CONTAINERD__SERVICES__LEASES__V1__LEASE__INIT;
    label_message entries[16];
    label_message *pointers[16];

    lease.id = (char *)(uintptr_t)id;
    lease.labels = pointers;
    for (; labels != NULL && labels[lease.n_labels] != NULL; lease.n_labels++) {
        size_t i = lease.n_labels;
        const char *equals = strchr(labels[i], '=');

        containerd__services__leases__v1__lease__labels_entry__init(&entries[i]);
        snprintf(keys[i], sizeof(keys[i]), "%.*s", (int)(equals - labels[i]), labels[i]);
        entries[i].key = keys[i];
        entries[i].value = (char *)(uintptr_t)(equals + 1);
        pointers[i] = &entries[i];
    }
    return containerd__services__leases__v1__lease__pack(&lease, bytes);
}

static struct answer create_in(const char *name, const char *id, const char *const *labels)
{
    uint8_t bytes[16384];
    struct berth_store_bytes value = {bytes, pack_lease(bytes, id, labels)};
    struct answer answer = {0};
    struct berth_error err;

    wait_for(&answer, stage.leases->create(stage.instance, name, value, on_done, &answer, &err), &err);
    return answer;
}

static void let_go(struct answer *answer)
{
    if (answer->lease != NULL)
        containerd__services__leases__v1__lease__free_unpacked(answer->lease, NULL);
}

static void create(const char *id, const char *const *labels)
{
    struct answer answer = create_in("default", id, labels);

    if (answer.code != BERTH_OK)
        fail_msg("%s", answer.message);
    let_go(&answer);
}

/* One that ends so many seconds after the test began. */
static void create_until(const char *id, unsigned seconds)
{
    char label[64];
    const char *const labels[] = {label, NULL};

    snprintf(label, sizeof(label), "containerd.io/gc.expire=2026-11-24T02:%02u:%02uZ", seconds / 60,
             seconds % 60);
    create(id, labels);
}

static void assert_answer(struct answer answer, enum berth_code code, const char *message)
{
    assert_string_equal(answer.message, message);
    assert_int_equal(answer.code, code);
    let_go(&answer);
}

static struct answer remove_one(const char *id)
{
    struct answer answer = {0};
    struct berth_error err;

    wait_for(&answer, stage.leases->remove(stage.instance, "default", id, on_done, &answer, &err), &err);
    return answer;
}

static bool add_id(void *context, struct berth_store_bytes value)
{
    lease_message *lease = containerd__services__leases__v1__lease__unpack(NULL, value.length, value.data);
    char *ids = context;

    assert_non_null(lease);
    assert_int_equal(lease->base.n_unknown_fields, 0);
    snprintf(ids + strlen(ids), 1024 - strlen(ids), "%s ", lease->id);
    containerd__services__leases__v1__lease__free_unpacked(lease, NULL);
    return true;
}

static const char *list(const char *filter)
{
    static char ids[1024];
    struct berth_error err;

    ids[0] = '\0';
    if (stage.leases->list(stage.instance, NULL, "default", &filter, filter != NULL ? 1 : 0, add_id, ids,
                           &err) != BERTH_OK)
        return strcpy(ids, err.message);
    return ids;
}

/* Two visits a part. */
struct part {
    char ids[1024], last[16];
    unsigned left;
};

static bool count_visit(void *context, const struct berth_store_entry *lease)
{
    struct part *part = context;

    snprintf(part->last, sizeof(part->last), "%.*s", (int)lease->key.length, (const char *)lease->key.data);
    return --part->left > 0;
}

static bool add_part(void *context, const struct berth_store_entry *lease)
{
    struct part *part = context;

    add_id(part->ids, lease->value);
    return count_visit(part, lease);
}

static void a_list_in_parts_continues_behind_the_last_id(void **state)
{
    static const char *const filters[] = {"id!=b"};
    struct part part = {.ids = ""};
    struct berth_leases_query query = {.size = sizeof(query),
                                       .namespace_name = "default",
                                       .filters = filters,
                                       .filter_count = 1,
                                       .on_other = count_visit};
    struct berth_error err;

    for (const char *id = "a\0b\0c\0d\0e\0"; *id != '\0'; id += 2)
        create(id, NULL);
    do {
        part.left = 2;
        query.after = berth_store_text(part.last);
        assert_int_equal(stage.leases->list_part(stage.instance, NULL, &query, add_part, &part, &err),
                         BERTH_OK);
    } while (part.left == 0);
    assert_string_equal(part.ids, "a c d e ");
}

static void set_wall(int64_t seconds)
{
    wall.seconds = BEGIN + seconds;
    ring_if_due();
    berth_testing_run(stage.testing);
}

static size_t count_entries(const char *bucket)
{
    struct berth_store_entry entry = {.key = {"", 0}};
    struct berth_store_txn *txn;
    struct berth_error err;
    size_t count = 0;

    assert_int_equal(berth_store_interface.begin(stage.memory, &txn, &err), BERTH_OK);
    while (berth_store_interface.next(txn, bucket, entry.key, &entry, &err) == BERTH_OK)
        count++;
    berth_store_interface.end(txn);
    return count;
}

static void a_lease_is_made_with_its_time(void **state)
{
    const char *const labels[] = {"b=2", "a=1", "gone=", "b=3", NULL};
    struct answer answer = create_in("default", "l1", labels);

    assert_int_equal(answer.code, BERTH_OK);
    assert_string_equal(answer.lease->id, "l1");
    assert_int_equal(answer.lease->created_at->seconds, BEGIN);
    assert_int_equal(answer.lease->created_at->nanos, 123456789);
    assert_int_equal(answer.lease->n_labels, 2);
    assert_string_equal(answer.lease->labels[0]->key, "a");
    assert_string_equal(answer.lease->labels[1]->key, "b");
    assert_string_equal(answer.lease->labels[1]->value, "3");
    assert_int_equal(namespaces.ensured, 1);
    assert_string_equal(namespaces.last, "default");
    let_go(&answer);
}

static void one_without_id_gets_one(void **state)
{
    struct answer first = create_in("default", "", NULL);
    struct answer second = create_in("default", "", NULL);

    assert_int_equal(strlen(first.lease->id), strlen("123456789-abcd"));
    assert_int_equal(strncmp(first.lease->id, "123456789-", 10), 0);
    assert_int_equal(
        strspn(first.lease->id + 10, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 4);
    assert_string_not_equal(first.lease->id, second.lease->id);
    let_go(&first);
    let_go(&second);
}

static void one_that_is_there_is_not_made_again(void **state)
{
    create("l1", NULL);
    assert_answer(create_in("default", "l1", NULL), BERTH_ALREADY_EXISTS, "lease \"l1\": already exists");
    assert_answer(create_in("other", "l1", NULL), BERTH_OK, "");
}

static void any_text_is_an_id_up_to_a_length(void **state)
{
    char id[BERTH_LEASE_ID_MAX + 2];

    create("bad id", NULL);
    create("a/b", NULL);
    create("\xc3\xa4", NULL);
    memset(id, 'x', sizeof(id));
    id[BERTH_LEASE_ID_MAX] = '\0';
    create(id, NULL);
    assert_answer(remove_one(id), BERTH_OK, "");
    id[BERTH_LEASE_ID_MAX] = 'x';
    id[BERTH_LEASE_ID_MAX + 1] = '\0';
    assert_answer(create_in("default", id, NULL), BERTH_INVALID_ARGUMENT,
                  "the lease's id has 257 bytes, at most 256 are allowed: invalid argument");
    assert_int_equal(remove_one(id).code, BERTH_NOT_FOUND);
    assert_int_equal(create_in("default", "\xff", NULL).code, BERTH_INVALID_ARGUMENT);
    assert_int_equal(create_in("bad ns", "x", NULL).code, BERTH_INVALID_ARGUMENT);
    assert_string_equal(list(NULL), "a/b bad id \xc3\xa4 ");
}

static void a_label_needs_a_key(void **state)
{
    const char *const labels[] = {"=nokey", NULL};
    const char *const nothing[] = {"=", NULL};

    assert_answer(create_in("default", "l1", labels), BERTH_UNKNOWN,
                  "failed to set label \"\"=\"nokey\": key required");
    assert_answer(create_in("default", "l1", nothing), BERTH_OK, "");
}

static void what_is_no_lease_is_refused(void **state)
{
    static const uint8_t wrong[][4] = {{0x0a, 5, 'a', 'b'}, {0x1a, 2, 0x0a, 9}, {0x1a, 1, 0xff, 0x0b}};
    struct answer answer = {0};
    struct berth_error err;

    for (size_t i = 0; i < 3; i++)
        assert_int_equal(stage.leases->create(stage.instance, "default",
                                              (struct berth_store_bytes){wrong[i], 4}, on_done, &answer,
                                              &err),
                         BERTH_INVALID_ARGUMENT);
    berth_testing_run(stage.testing);
    assert_int_equal(answer.count, 0);
}

static void without_its_namespace_nothing_is_made(void **state)
{
    namespaces.code = BERTH_RESOURCE_EXHAUSTED;
    assert_answer(create_in("default", "l1", NULL), BERTH_RESOURCE_EXHAUSTED, "no namespace today");
    assert_string_equal(list(NULL), "");
    assert_null(namespaces.occupant->kind);
    assert_string_equal(namespaces.occupant->bucket_prefix, "leases/");
}

static void a_removed_lease_is_gone_with_all_that_was_of_it(void **state)
{
    create_until("l1", 60);
    assert_int_equal(count_entries(INDEX_BUCKET), 1);
    assert_answer(remove_one("l1"), BERTH_OK, "");
    assert_answer(remove_one("l1"), BERTH_NOT_FOUND, "lease \"l1\": not found");
    assert_answer(remove_one(""), BERTH_NOT_FOUND, "lease \"\": not found");
    assert_int_equal(count_entries(INDEX_BUCKET), 0);
    assert_int_equal(count_entries("leases/default"), 0);
}

static void filters_are_containerds(void **state)
{
    const char *const labels[] = {"colour=blue", "io.example/key=a.b", "a.b=c", NULL};

    create("l2", labels);
    create("l1", NULL);
    assert_string_equal(list(NULL), "l1 l2 ");
    assert_string_equal(list(""), "l1 l2 ");
    assert_string_equal(list("id==l1"), "l1 ");
    assert_string_equal(list("labels.colour==blue"), "l2 ");
    assert_string_equal(list("labels.colour!=blue"), "l1 ");
    assert_string_equal(list("labels.\"io.example/key\"==a.b"), "l2 ");
    assert_string_equal(list("labels.a.b"), "l2 ");
    assert_string_equal(list("labels"), "");
    assert_string_equal(list("created_at"), "");
    assert_string_equal(list("id=="),
                        "filters: parse error: [id==]: expected value or quoted: invalid argument");
}

static struct answer set_resource(bool keeps, const char *id, const char *type, const char *resource_id)
{
    resource_message resource = CONTAINERD__SERVICES__LEASES__V1__RESOURCE__INIT;
    struct answer answer = {0};
    struct berth_store_bytes value = {NULL, 0};
    uint8_t bytes[8192];
    struct berth_error err;

    if (type != NULL) {
        resource.type = (char *)(uintptr_t)type;
        resource.id = (char *)(uintptr_t)resource_id;
        value = (struct berth_store_bytes){
            bytes, containerd__services__leases__v1__resource__pack(&resource, bytes)};
    }
    wait_for(&answer,
             (keeps ? stage.leases->add_resource : stage.leases->remove_resource)(
                 stage.instance, "default", id, value, on_done, &answer, &err),
             &err);
    return answer;
}

static bool add_resource_text(void *context, struct berth_store_bytes value)
{
    resource_message *resource =
        containerd__services__leases__v1__resource__unpack(NULL, value.length, value.data);
    char *text = context;

    snprintf(text + strlen(text), 1024 - strlen(text), "%s:%s ", resource->type, resource->id);
    containerd__services__leases__v1__resource__free_unpacked(resource, NULL);
    return true;
}

static const char *list_resources(const char *id)
{
    static char text[1024];
    struct berth_error err;

    text[0] = '\0';
    if (stage.leases->resources(stage.instance, NULL, "default", id, add_resource_text, text, &err) !=
        BERTH_OK)
        return strcpy(text, err.message);
    return text;
}

static void resources_are_kept_once_and_in_order(void **state)
{
    const char *const labels[] = {"a=1", NULL};

    create("l1", labels);
    assert_answer(set_resource(true, "l1", "snapshots/overlayfs", "s1"), BERTH_OK, "");
    assert_answer(set_resource(true, "l1", "snapshots/native", "s2"), BERTH_OK, "");
    assert_answer(set_resource(true, "l1", "ingests", "i1"), BERTH_OK, "");
    assert_answer(set_resource(true, "l1", "images", "b"), BERTH_OK, "");
    assert_answer(set_resource(true, "l1", "images", "a"), BERTH_OK, "");
    assert_answer(set_resource(true, "l1", "images", "b"), BERTH_OK, "");
    assert_string_equal(list_resources("l1"),
                        "images:a images:b ingests:i1 snapshots/native:s2 snapshots/overlayfs:s1 ");
    assert_answer(set_resource(false, "l1", "images", "c"), BERTH_OK, "");
    assert_answer(set_resource(false, "l1", "images", "a"), BERTH_OK, "");
    assert_answer(set_resource(false, "l1", "snapshots/overlayfs", "s1"), BERTH_OK, "");
    assert_string_equal(list_resources("l1"), "images:b ingests:i1 snapshots/native:s2 ");
    assert_string_equal(list_resources("l2"), "lease \"l2\": not found");
    assert_string_equal(list("labels.a==1"), "l1 ");
}

static void what_no_lease_can_keep_is_refused_in_containerds_words(void **state)
{
    static const struct {
        const char *lease, *type, *id;
        enum berth_code code;
        const char *message;
    } cases[] = {
        {"", NULL, NULL, BERTH_NOT_FOUND, "lease \"\": not found"},
        {"l2", "nonsense", "x", BERTH_NOT_FOUND, "lease \"l2\": not found"},
        {"l1", NULL, NULL, BERTH_INVALID_ARGUMENT, "a resource is required: invalid argument"},
        {"l1", "nonsense", "x", BERTH_UNIMPLEMENTED,
         "resource type nonsense not supported yet: not implemented"},
        {"l1", "", "x", BERTH_UNIMPLEMENTED, "resource type  not supported yet: not implemented"},
        {"l1", "content/x", "x", BERTH_INVALID_ARGUMENT, "invalid resource type content/x: invalid argument"},
        {"l1", "snapshots", "x", BERTH_INVALID_ARGUMENT,
         "invalid snapshot resource type snapshots: invalid argument"},
        {"l1", "snapshots/", "x", BERTH_INVALID_ARGUMENT,
         "invalid snapshot resource type snapshots/: invalid argument"},
        {"l1", "snapshots/a/b", "x", BERTH_INVALID_ARGUMENT,
         "invalid snapshot resource type snapshots/a/b: invalid argument"},
        {"l1", "content", "", BERTH_INVALID_ARGUMENT,
         "invalid content resource id : invalid checksum digest format: invalid argument"},
        {"l1", "content", "sha256:abc", BERTH_INVALID_ARGUMENT,
         "invalid content resource id sha256:abc: invalid checksum digest length: invalid argument"},
        {"l1", "ingests", "", BERTH_INVALID_ARGUMENT,
         "a resource of type ingests must have an id: invalid argument"},
        {"l1", "ingests", "\xff", BERTH_INVALID_ARGUMENT,
         "field id of containerd.services.leases.v1.Resource is not text: invalid argument"},
    };
    create("l1", NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_answer(set_resource(true, cases[i].lease, cases[i].type, cases[i].id), cases[i].code,
                      cases[i].message);
        assert_answer(set_resource(false, cases[i].lease, cases[i].type, cases[i].id), cases[i].code,
                      cases[i].message);
    }
    assert_string_equal(list_resources("l1"), "");
}

static void digests_are_the_ocis(void **state)
{
    static const struct {
        const char *text;
        const char *wrong;
    } cases[] = {
        {"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", NULL},
        {"sha256:E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
         "invalid checksum digest format"},
        {"sha256:e3b0", "invalid checksum digest length"},
        {"sha512:e3b0", "invalid checksum digest length"},
        {"md5:0123", "unsupported digest algorithm"},
        {"a+b.c:0_=-", "unsupported digest algorithm"},
        {"a++b:0", "invalid checksum digest format"},
        {"md5:0/", "invalid checksum digest format"},
        {"sha256:", "invalid checksum digest format"},
        {":00", "invalid checksum digest format"},
        {"x", "invalid checksum digest format"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *wrong = digest_check(cases[i].text);

        if (wrong != NULL && cases[i].wrong != NULL)
            assert_string_equal(wrong, cases[i].wrong);
        else
            assert_ptr_equal(wrong, cases[i].wrong);
    }
}

static void times_are_those_of_rfc_3339(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds;
        uint32_t nanoseconds;
    } cases[] = {
        {"2026-11-24T02:00:00Z", BEGIN, 0},
        {"2026-11-24T04:30:00.5+02:30", BEGIN, 500000000},
        {"2026-11-23T21:00:00.1234567891-05:00", BEGIN, 123456789},
        {"1970-01-01T00:00:00Z", 0, 0},
        {"2000-02-29T23:59:59Z", 951868799, 0},
        {"1969-12-31T23:59:59Z", -1, 0},
        {"0000-01-01T00:00:00Z", INT64_C(-62167219200), 0},
        {"9999-12-31T23:59:59Z", INT64_C(253402300799), 0},
    };
    static const char *const wrong[] = {
        "",
        "nonsense",
        "2026-11-24",
        "2026-11-24T02:00:00",
        "2026-11-24 02:00:00Z",
        "2026-11-24t02:00:00z",
        "2026-02-29T02:00:00Z",
        "1900-02-29T02:00:00Z",
        "2026-13-01T02:00:00Z",
        "2026-00-01T02:00:00Z",
        "2026-11-24T24:00:00Z",
        "2026-11-24T02:00:60Z",
        "2026-11-24T02:00:00.Z",
        "2026-11-24T02:00:00+0200",
        "2026-11-24T02:00:00Zx",
        "26-11-24T02:00:00Z",
    };
    struct expiry expiry;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (!expiry_parse(cases[i].text, strlen(cases[i].text), &expiry))
            fail_msg("%s", cases[i].text);
        assert_int_equal(expiry.seconds, cases[i].seconds);
        assert_int_equal(expiry.nanoseconds, cases[i].nanoseconds);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (expiry_parse(wrong[i], strlen(wrong[i]), &expiry))
            fail_msg("%s", wrong[i]);
}

static void keys_of_the_index_are_ordered_as_times_and_read_back(void **state)
{
    static const struct expiry times[] = {{-5, 7}, {-1, 999999999}, {0, 0}, {0, 1}, {BEGIN, 0}};
    struct index_entry entry;
    struct index_key key, last = {.length = 0};

    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        index_make(&key, &times[i], "ns", "id");
        assert_true(index_read((struct berth_store_bytes){key.bytes, key.length}, &entry));
        assert_int_equal(expiry_compare(&entry.expiry, &times[i]), 0);
        assert_string_equal(entry.namespace_name, "ns");
        assert_string_equal(entry.id, "id");
        assert_true(memcmp(last.bytes, key.bytes, 12) < 0 || last.length == 0);
        last = key;
    }
    assert_false(index_read((struct berth_store_bytes){key.bytes, 12}, &entry));
    assert_false(index_read((struct berth_store_bytes){key.bytes, 14}, &entry));
    assert_false(index_read((struct berth_store_bytes){key.bytes, 15}, &entry));
}

static void a_lease_goes_when_its_time_is_over_and_not_before(void **state)
{
    create("for-ever", NULL);
    create_until("second", 20);
    assert_int_equal(wall.asked.it_value.tv_sec, BEGIN + 20);
    create_until("first", 10);
    create_until("third", 30);
    assert_int_equal(wall.asked.it_value.tv_sec, BEGIN + 10);
    set_wall(9);
    assert_string_equal(list(NULL), "first for-ever second third ");
    set_wall(10);
    assert_string_equal(list(NULL), "for-ever second third ");
    assert_int_equal(wall.asked.it_value.tv_sec, BEGIN + 20);
    set_wall(20);
    set_wall(30);
    assert_string_equal(list(NULL), "for-ever ");
    assert_int_equal(wall.asked.it_value.tv_sec, 0);
    assert_int_equal(count_entries(INDEX_BUCKET), 0);
}

static void nobody_looks_while_nothing_ends(void **state)
{
    unsigned begun;

    create_until("l1", 3000);
    begun = faults.begun;
    for (int i = 0; i < 20; i++)
        create_until("", 3001);
    berth_testing_advance(stage.testing, 3600000);
    assert_int_equal(faults.begun, begun);
}

static void a_jump_of_the_clock_is_followed(void **state)
{
    create_until("l1", 600);
    /* Backwards: what is waited for is a time of the day. */
    set_wall(-86400);
    eventfd_write(wall.fd, 1);
    berth_testing_run(stage.testing);
    assert_string_equal(list(NULL), "l1 ");
    assert_int_equal(wall.asked.it_value.tv_sec, BEGIN + 600);
    set_wall(86400);
    assert_string_equal(list(NULL), "");
}

static void many_that_end_at_once_go_in_bounded_changes(void **state)
{
    char id[8];
    unsigned updates;

    for (int i = 0; i < 10; i++) {
        snprintf(id, sizeof(id), "l%d", i);
        create_until(id, 10);
    }
    updates = faults.updates;
    set_wall(11);
    assert_string_equal(list(NULL), "");
    /* Of three each, and the last finds the end. */
    assert_in_range(faults.updates - updates, 4, 5);
}

static void a_time_that_is_none_counts_for_nothing(void **state)
{
    const char *const labels[] = {"containerd.io/gc.expire=nonsense", NULL};

    create("l1", labels);
    assert_true(berth_testing_has_logged(stage.testing, "lease=l1 namespace=default"));
    assert_int_equal(count_entries(INDEX_BUCKET), 0);
    assert_answer(remove_one("l1"), BERTH_OK, "");
}

static void a_lease_that_has_ended_when_it_is_made_goes_at_once(void **state)
{
    wall.seconds = BEGIN + 100;
    create_until("l1", 10);
    berth_testing_run(stage.testing);
    assert_string_equal(list(NULL), "");
}

static void write_as_other(const char *id, int64_t seconds, bool with_lease)
{
    const char *const labels[] = {"containerd.io/gc.expire=2026-11-24T02:00:10Z", NULL};
    uint8_t bytes[1024];
    struct berth_store_bytes value = {bytes, pack_lease(bytes, id, labels)};
    struct index_key key;
    struct expiry expiry = {BEGIN + seconds, 0};
    struct berth_error err;

    index_make(&key, &expiry, "default", id);
    if (with_lease)
        berth_store_memory_write_as_other(stage.memory, "leases/default", berth_store_text(id), value, &err);
    berth_store_memory_write_as_other(stage.memory, INDEX_BUCKET,
                                      (struct berth_store_bytes){key.bytes, key.length},
                                      (struct berth_store_bytes){"", 0}, &err);
    berth_testing_run(stage.testing);
}

static void leases_of_other_daemons_end_too(void **state)
{
    write_as_other("l1", 10, true);
    assert_int_equal(wall.asked.it_value.tv_sec, BEGIN + 10);
    set_wall(10);
    assert_string_equal(list(NULL), "");
}

static void an_index_that_says_more_than_there_is_does_no_harm(void **state)
{
    struct berth_error err;

    write_as_other("gone", 10, false);
    write_as_other("made-again", 5, true);
    berth_store_memory_write_as_other(stage.memory, INDEX_BUCKET, berth_store_text("nonsense"),
                                      (struct berth_store_bytes){"", 0}, &err);
    set_wall(9);
    assert_string_equal(list(NULL), "made-again ");
    set_wall(10);
    berth_testing_run(stage.testing);
    assert_int_equal(faults.refuses, false);
    assert_string_equal(list(NULL), "made-again ");
}

static void damage(const char *bucket, struct berth_store_bytes key)
{
    assert_true(berth_store_memory_damage(stage.memory, bucket, key));
}

static void a_damaged_lease_can_be_removed(void **state)
{
    create("l1", NULL);
    create_until("l2", 10);
    damage("leases/default", berth_store_text("l1"));
    damage("leases/default", berth_store_text("l2"));
    assert_answer(remove_one("l1"), BERTH_OK, "");
    assert_answer(remove_one("l2"), BERTH_OK, "");
    assert_string_equal(list(NULL), "");
    set_wall(10);
    assert_int_equal(count_entries(INDEX_BUCKET), 0);
}

static void damage_keeps_no_lease_from_its_end(void **state)
{
    struct expiry expiry = {BEGIN + 20, 0};
    struct index_key key;

    create("for-ever", NULL);
    create_until("first", 10);
    create_until("second", 20);
    create_until("third", 30);
    damage("leases/default", berth_store_text("first"));
    index_make(&key, &expiry, "default", "second");
    damage(INDEX_BUCKET, (struct berth_store_bytes){key.bytes, key.length});
    set_wall(10);
    assert_true(berth_testing_has_logged(stage.testing, "removed damaged expired leases count=1"));
    assert_string_equal(list(NULL), "for-ever second third ");
    assert_int_equal(wall.asked.it_value.tv_sec, BEGIN + 20);
    set_wall(20);
    assert_string_equal(list(NULL), "for-ever third ");
    set_wall(30);
    assert_string_equal(list(NULL), "for-ever ");
    assert_int_equal(count_entries(INDEX_BUCKET), 0);
}

static void a_store_that_refuses_is_asked_again_later(void **state)
{
    unsigned begun;

    create_until("l1", 10);
    faults.refuses = true;
    begun = faults.begun;
    set_wall(10);
    assert_true(berth_testing_has_logged(stage.testing, "the store is away"));
    assert_int_equal(faults.begun, begun + 1);
    assert_int_equal(wall.asked.it_value.tv_sec, BEGIN + 35);
    faults.refuses = false;
    set_wall(35);
    assert_string_equal(list(NULL), "");
}

static void a_daemon_that_starts_goes_on_where_another_stopped(void **state)
{
    make(NULL);
    write_as_other("l1", 10, true);
    wall.seconds = BEGIN + 3600;
    start();
    assert_string_equal(list(NULL), "");
    assert_int_equal(count_entries(INDEX_BUCKET), 0);
    tear_down(NULL);
}

static void a_daemon_that_is_told_not_to_removes_nothing(void **state)
{
    make("sweep: false");
    start();
    create_until("l1", 10);
    wall.seconds = BEGIN + 3600;
    berth_testing_run(stage.testing);
    assert_string_equal(list(NULL), "l1 ");
    assert_int_equal(count_entries(INDEX_BUCKET), 1);
    tear_down(NULL);
}

static void the_sweeper_changes_in_place_but_for_whether_there_is_one(void **state)
{
    static const struct {
        const char *settings;
        enum berth_code code;
    } cases[] = {
        {"{sweep_batch: 1, sweep_retry: 1s}", BERTH_OK},
        {"sweep: false", BERTH_RESTART},
        {"sweep_batch: 0", BERTH_INVALID_ARGUMENT},
        {NULL, BERTH_OK},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(plugin_reconfigure(stage.testing, cases[i].settings), cases[i].code);
    create_until("l1", 10);
    wall.seconds = BEGIN + 3600;
    berth_testing_run(stage.testing);
}

struct holding {
    struct berth_store_update update;
    const char *lease;
    enum berth_code code;
};

static enum berth_code hold(struct berth_store_update *asked, struct berth_store_txn *txn,
                            struct berth_error *err)
{
    struct holding *holding = (struct holding *)asked;
    resource_message resource = CONTAINERD__SERVICES__LEASES__V1__RESOURCE__INIT;
    uint8_t bytes[64];

    resource.type = (char *)(uintptr_t) "images";
    resource.id = (char *)(uintptr_t) "i";
    return stage.leases->hold(
        stage.instance, txn, "default", holding->lease,
        (struct berth_store_bytes){bytes, containerd__services__leases__v1__resource__pack(&resource, bytes)},
        err);
}

static void on_held(struct berth_store_update *asked, enum berth_code code, const char *message)
{
    ((struct holding *)asked)->code = code;
}

static void another_plugin_puts_what_it_makes_into_a_lease(void **state)
{
    struct holding holding = {{hold, on_held, {NULL}}, "l1", BERTH_PENDING};

    create("l1", NULL);
    berth_store_interface.update(stage.memory, &holding.update);
    berth_testing_run(stage.testing);
    assert_int_equal(holding.code, BERTH_OK);
    assert_string_equal(list_resources("l1"), "images:i ");
    holding.lease = "l2";
    berth_store_interface.update(stage.memory, &holding.update);
    berth_testing_run(stage.testing);
    assert_int_equal(holding.code, BERTH_NOT_FOUND);
}

static void a_close_waits_for_the_change_on_its_way(void **state)
{
    uint8_t bytes[64];
    struct answer answer = {0};
    struct berth_error err;

    assert_int_equal(stage.leases->create(stage.instance, "default",
                                          (struct berth_store_bytes){bytes, pack_lease(bytes, "l1", NULL)},
                                          on_done, &answer, &err),
                     BERTH_OK);
    assert_int_equal(berth_testing_close(stage.testing, &err), BERTH_OK);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.code, BERTH_OK);
    let_go(&answer);
}

#define ON_A_STAGE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_STAGE(a_lease_is_made_with_its_time),
        ON_A_STAGE(one_without_id_gets_one),
        ON_A_STAGE(one_that_is_there_is_not_made_again),
        ON_A_STAGE(any_text_is_an_id_up_to_a_length),
        ON_A_STAGE(a_label_needs_a_key),
        ON_A_STAGE(what_is_no_lease_is_refused),
        ON_A_STAGE(without_its_namespace_nothing_is_made),
        ON_A_STAGE(a_removed_lease_is_gone_with_all_that_was_of_it),
        ON_A_STAGE(filters_are_containerds),
        ON_A_STAGE(a_list_in_parts_continues_behind_the_last_id),
        ON_A_STAGE(resources_are_kept_once_and_in_order),
        ON_A_STAGE(what_no_lease_can_keep_is_refused_in_containerds_words),
        cmocka_unit_test(digests_are_the_ocis),
        cmocka_unit_test(times_are_those_of_rfc_3339),
        cmocka_unit_test(keys_of_the_index_are_ordered_as_times_and_read_back),
        ON_A_STAGE(a_lease_goes_when_its_time_is_over_and_not_before),
        ON_A_STAGE(nobody_looks_while_nothing_ends),
        ON_A_STAGE(a_jump_of_the_clock_is_followed),
        ON_A_STAGE(many_that_end_at_once_go_in_bounded_changes),
        ON_A_STAGE(a_time_that_is_none_counts_for_nothing),
        ON_A_STAGE(a_lease_that_has_ended_when_it_is_made_goes_at_once),
        ON_A_STAGE(leases_of_other_daemons_end_too),
        ON_A_STAGE(an_index_that_says_more_than_there_is_does_no_harm),
        ON_A_STAGE(a_damaged_lease_can_be_removed),
        ON_A_STAGE(damage_keeps_no_lease_from_its_end),
        ON_A_STAGE(a_store_that_refuses_is_asked_again_later),
        cmocka_unit_test(a_daemon_that_starts_goes_on_where_another_stopped),
        cmocka_unit_test(a_daemon_that_is_told_not_to_removes_nothing),
        cmocka_unit_test_setup_teardown(the_sweeper_changes_in_place_but_for_whether_there_is_one, set_up,
                                        tear_down),
        ON_A_STAGE(another_plugin_puts_what_it_makes_into_a_lease),
        ON_A_STAGE(a_close_waits_for_the_change_on_its_way),
    };

    return cmocka_run_group_tests_name("leases", tests, NULL, NULL);
}
