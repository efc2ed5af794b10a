/* SPDX-License-Identifier: Apache-2.0 */
/* Reflection: what each kind of request is answered, over which services, and with what kind of descriptors.
 */
#include "plugin_stage.h"

#include <containerd/services/introspection/v1/introspection.berth.h>
#include <google/protobuf/descriptor.pb-c.h>
#include <grpc/reflection/v1/reflection.pb-c.h>
#include <helloworld/helloworld.berth.h>
#include <plugins/reflection/descriptor_index.h>

#define V1 "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define V1ALPHA "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
#define REFLECTION "grpc.reflection.v1.ServerReflection"
#define ASKS(what) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##what
#define ANSWERS(what) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##what

typedef Grpc__Reflection__V1__ServerReflectionRequest request_message;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_message;
typedef Google__Protobuf__FileDescriptorProto file_message;
typedef Google__Protobuf__FieldDescriptorProto field_message;

static const struct helloworld_greeter_handlers no_greeter;
static const struct berth_service greeter = HELLOWORLD_GREETER_SERVICE(&no_greeter);
static const struct containerd_services_introspection_v1_introspection_handlers no_introspection;
static const struct berth_service introspection =
    CONTAINERD_SERVICES_INTROSPECTION_V1_INTROSPECTION_SERVICE(&no_introspection);

static void provide(struct berth_testing *testing, const struct berth_service *service)
{
    struct berth_error err;

    if (berth_testing_provide_service(testing, service, NULL, &err) != BERTH_OK)
        fail_msg("%s", err.message);
}

static int set_up(void **state)
{
    plugin_set_up(state);
    provide(*state, &greeter);
    return 0;
}

static void send_request(struct berth_testing *testing, struct berth_testing_call *call,
                         const request_message *request)
{
    uint8_t bytes[4096];

    assert_true(protobuf_c_message_get_packed_size(&request->base) < sizeof(bytes));
    berth_testing_call_send(call, bytes, protobuf_c_message_pack(&request->base, bytes));
    berth_testing_run(testing);
}

static response_message *take(const struct berth_testing_call *call, size_t i)
{
    size_t length;
    const void *bytes = berth_testing_call_reply(call, i, &length);
    response_message *response;

    assert_non_null(bytes);
    response = grpc__reflection__v1__server_reflection_response__unpack(NULL, length, bytes);
    assert_non_null(response);
    return response;
}

static void release(response_message *response)
{
    grpc__reflection__v1__server_reflection_response__free_unpacked(response, NULL);
}

/* One request on a stream of its own. */
static response_message *ask_over(struct berth_testing *testing, const char *path, const char *transport,
                                  int what, const char *text)
{
    const struct berth_testing_call_options options = {.transport = transport};
    struct berth_testing_call *call = berth_testing_call_create(testing, path, &options);
    request_message request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    response_message *response;

    request.host = (char *)(uintptr_t) "a.example";
    request.message_request_case = (Grpc__Reflection__V1__ServerReflectionRequest__MessageRequestCase)what;
    request.file_by_filename = (char *)(uintptr_t)text;
    send_request(testing, call, &request);
    response = take(call, 0);
    berth_testing_call_half_close(call);
    berth_testing_run(testing);
    assert_int_equal(berth_testing_call_code(call), BERTH_OK);
    berth_testing_call_destroy(call);
    return response;
}

static response_message *ask(struct berth_testing *testing, int what, const char *text)
{
    return ask_over(testing, V1, "grpc", what, text);
}

static void assert_services(response_message *response, const char *const *names, size_t count)
{
    assert_int_equal(response->message_response_case, ANSWERS(LIST_SERVICES_RESPONSE));
    assert_int_equal(response->list_services_response->n_service, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(response->list_services_response->service[i]->name, names[i]);
    release(response);
}

static void assert_error(response_message *response, enum berth_code code)
{
    assert_int_equal(response->message_response_case, ANSWERS(ERROR_RESPONSE));
    assert_int_equal(response->error_response->error_code, code);
    assert_true(*response->error_response->error_message != '\0');
    release(response);
}

static file_message *take_file(const response_message *response, size_t i)
{
    const ProtobufCBinaryData *bytes = &response->file_descriptor_response->file_descriptor_proto[i];
    file_message *file = google__protobuf__file_descriptor_proto__unpack(NULL, bytes->len, bytes->data);

    assert_non_null(file);
    return file;
}

/* The file itself comes first. */
static void assert_file(response_message *response, const char *name, size_t count)
{
    file_message *file;

    assert_int_equal(response->message_response_case, ANSWERS(FILE_DESCRIPTOR_RESPONSE));
    assert_int_equal(response->file_descriptor_response->n_file_descriptor_proto, count);
    file = take_file(response, 0);
    assert_string_equal(file->name, name);
    google__protobuf__file_descriptor_proto__free_unpacked(file, NULL);
    release(response);
}

static void services_are_listed_sorted_with_reflection_itself(void **state)
{
    static const char *const names[] = {REFLECTION, "grpc.reflection.v1alpha.ServerReflection",
                                        "helloworld.Greeter"};

    assert_services(ask(*state, ASKS(LIST_SERVICES), ""), names, 3);
    assert_services(ask_over(*state, V1ALPHA, "tcp", ASKS(LIST_SERVICES), "*"), names, 3);
}

static void an_answer_repeats_what_was_asked(void **state)
{
    response_message *response = ask(*state, ASKS(FILE_BY_FILENAME), "nope.proto");

    assert_string_equal(response->valid_host, "a.example");
    assert_string_equal(response->original_request->host, "a.example");
    assert_string_equal(response->original_request->file_by_filename, "nope.proto");
    assert_error(response, BERTH_NOT_FOUND);
}

static void a_file_is_found_by_its_name_and_by_each_symbol(void **state)
{
    static const char *const symbols[] = {
        "helloworld.Greeter",
        "helloworld.Greeter.SayHello",
        "helloworld.HelloRequest",
        "helloworld.HelloRequest.name",
    };

    assert_file(ask(*state, ASKS(FILE_BY_FILENAME), "helloworld/helloworld.proto"),
                "helloworld/helloworld.proto", 1);
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
        assert_file(ask(*state, ASKS(FILE_CONTAINING_SYMBOL), symbols[i]), "helloworld/helloworld.proto", 1);
    assert_file(ask_over(*state, V1ALPHA, "grpc", ASKS(FILE_CONTAINING_SYMBOL), "helloworld.Greeter"),
                "helloworld/helloworld.proto", 1);
}

static void what_nobody_defines_is_not_found(void **state)
{
    assert_error(ask(*state, ASKS(FILE_CONTAINING_SYMBOL), "helloworld"), BERTH_NOT_FOUND);
    assert_error(ask(*state, ASKS(FILE_CONTAINING_SYMBOL), ".helloworld.Greeter"), BERTH_NOT_FOUND);
    assert_error(ask(*state, ASKS(FILE_CONTAINING_SYMBOL), ""), BERTH_NOT_FOUND);
    assert_error(ask(*state, ASKS(ALL_EXTENSION_NUMBERS_OF_TYPE), "no.Such"), BERTH_NOT_FOUND);
    assert_error(ask(*state, ASKS(_NOT_SET), ""), BERTH_INVALID_ARGUMENT);
}

static bool has_file(const response_message *response, const char *name)
{
    bool found = false;

    for (size_t i = 0; i < response->file_descriptor_response->n_file_descriptor_proto; i++) {
        file_message *file = take_file(response, i);

        found = found || strcmp(file->name, name) == 0;
        google__protobuf__file_descriptor_proto__free_unpacked(file, NULL);
    }
    return found;
}

static void a_file_comes_with_all_that_it_imports(void **state)
{
    response_message *response;

    provide(*state, &introspection);
    berth_testing_run(*state);
    response = ask(*state, ASKS(FILE_CONTAINING_SYMBOL), introspection.name);
    assert_int_equal(response->message_response_case, ANSWERS(FILE_DESCRIPTOR_RESPONSE));
    assert_true(has_file(response, "containerd/types/platform.proto"));
    assert_true(has_file(response, "google/rpc/status.proto"));
    assert_true(has_file(response, "google/protobuf/any.proto"));
    release(response);
}

static void a_service_that_comes_later_is_there(void **state)
{
    static const char *const before[] = {REFLECTION, "grpc.reflection.v1alpha.ServerReflection",
                                         "helloworld.Greeter"};
    static const char *const after[] = {"containerd.services.introspection.v1.Introspection", REFLECTION,
                                        "grpc.reflection.v1alpha.ServerReflection", "helloworld.Greeter"};

    assert_services(ask(*state, ASKS(LIST_SERVICES), ""), before, 3);
    provide(*state, &introspection);
    berth_testing_run(*state);
    assert_services(ask(*state, ASKS(LIST_SERVICES), ""), after, 4);
}

static void a_stream_goes_on_after_an_error(void **state)
{
    struct berth_testing_call *call = berth_testing_call_create(*state, V1, NULL);
    request_message request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;

    request.message_request_case = ASKS(FILE_BY_FILENAME);
    request.file_by_filename = (char *)(uintptr_t) "nope";
    send_request(*state, call, &request);
    request.message_request_case = ASKS(LIST_SERVICES);
    send_request(*state, call, &request);
    assert_int_equal(berth_testing_call_reply_count(call), 2);
    assert_error(take(call, 0), BERTH_NOT_FOUND);
    assert_int_equal(berth_testing_call_code(call), BERTH_PENDING);
    berth_testing_call_destroy(call);
}

static void who_does_not_read_is_asked_for_no_more(void **state)
{
    struct berth_testing_call *call = berth_testing_call_create(*state, V1, NULL);
    request_message request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;

    request.message_request_case = ASKS(LIST_SERVICES);
    request.list_services = (char *)(uintptr_t) "";
    berth_testing_call_set_slow(call, true);
    for (int i = 0; i < 5; i++)
        send_request(*state, call, &request);
    assert_int_equal(berth_testing_call_reply_count(call), 1);
    berth_testing_call_set_slow(call, false);
    berth_testing_run(*state);
    assert_int_equal(berth_testing_call_reply_count(call), 5);
    berth_testing_call_destroy(call);
}

static void bytes_that_are_no_request_end_the_stream(void **state)
{
    struct berth_testing_call *call = berth_testing_call_create(*state, V1, NULL);

    berth_testing_call_send(call, "\xff\xff", 2);
    berth_testing_run(*state);
    assert_int_equal(berth_testing_call_code(call), BERTH_INTERNAL);
    berth_testing_call_destroy(call);
}

static void a_drain_ends_those_who_ask(void **state)
{
    struct berth_testing_call *first = berth_testing_call_create(*state, V1, NULL);
    struct berth_testing_call *second = berth_testing_call_create(*state, V1ALPHA, NULL);
    struct berth_error err;

    assert_int_equal(berth_testing_drain(*state, &err), BERTH_OK);
    berth_testing_run(*state);
    assert_int_equal(berth_testing_call_code(first), BERTH_UNAVAILABLE);
    assert_int_equal(berth_testing_call_code(second), BERTH_UNAVAILABLE);
    berth_testing_call_destroy(first);
    berth_testing_call_destroy(second);
}

static void who_asks_is_asked_to_call_the_next_generation(void **state)
{
    struct berth_testing_call *call = berth_testing_call_create(*state, V1, NULL);

    plugin_drain_for_another(*state);
    berth_testing_run(*state);
    assert_int_equal(berth_testing_call_code(call), BERTH_UNAVAILABLE);
    assert_string_equal(berth_testing_call_message(call), PLUGIN_REPLACED);
    berth_testing_call_destroy(call);
}

/* A set with one file, in `bytes`. */
static size_t pack_set(const file_message *file, uint8_t *bytes, size_t size)
{
    Google__Protobuf__FileDescriptorSet set = GOOGLE__PROTOBUF__FILE_DESCRIPTOR_SET__INIT;
    file_message *files[] = {(file_message *)(uintptr_t)file};

    set.n_file = 1;
    set.file = files;
    assert_true(google__protobuf__file_descriptor_set__get_packed_size(&set) <= size);
    return google__protobuf__file_descriptor_set__pack(&set, bytes);
}

/* message p.Outer { oneof choice {…} enum Kind {FIRST} message Inner {} extend p.Outer {…= 200} } and
 * extend p.Outer {… = 100} beside it. */
static size_t pack_all_kinds(uint8_t *bytes, size_t size)
{
    file_message file = GOOGLE__PROTOBUF__FILE_DESCRIPTOR_PROTO__INIT;
    Google__Protobuf__DescriptorProto outer = GOOGLE__PROTOBUF__DESCRIPTOR_PROTO__INIT;
    Google__Protobuf__DescriptorProto inner = GOOGLE__PROTOBUF__DESCRIPTOR_PROTO__INIT;
    Google__Protobuf__EnumDescriptorProto kind = GOOGLE__PROTOBUF__ENUM_DESCRIPTOR_PROTO__INIT;
    Google__Protobuf__EnumValueDescriptorProto value = GOOGLE__PROTOBUF__ENUM_VALUE_DESCRIPTOR_PROTO__INIT;
    Google__Protobuf__OneofDescriptorProto choice = GOOGLE__PROTOBUF__ONEOF_DESCRIPTOR_PROTO__INIT;
    field_message inside = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__INIT, beside = inside;
    Google__Protobuf__DescriptorProto *messages[] = {&outer}, *nested[] = {&inner};
    Google__Protobuf__EnumDescriptorProto *enums[] = {&kind};
    Google__Protobuf__EnumValueDescriptorProto *values[] = {&value};
    Google__Protobuf__OneofDescriptorProto *oneofs[] = {&choice};
    field_message *extensions_inside[] = {&inside}, *extensions_beside[] = {&beside};

#define NAME(thing, text) (thing).name = (char *)(uintptr_t)(text)
    NAME(file, "p.proto"), file.package = (char *)(uintptr_t) "p";
    NAME(outer, "Outer"), NAME(inner, "Inner"), NAME(kind, "Kind"), NAME(value, "FIRST");
    NAME(choice, "choice"), NAME(inside, "inside"), NAME(beside, "beside");
    inside.extendee = beside.extendee = (char *)(uintptr_t) ".p.Outer";
    inside.number = 200, beside.number = 100;
    inside.has_number = beside.has_number = 1;
    kind.n_value = 1, kind.value = values;
    outer.n_nested_type = 1, outer.nested_type = nested;
    outer.n_enum_type = 1, outer.enum_type = enums;
    outer.n_oneof_decl = 1, outer.oneof_decl = oneofs;
    outer.n_extension = 1, outer.extension = extensions_inside;
    file.n_message_type = 1, file.message_type = messages;
    file.n_extension = 1, file.extension = extensions_beside;
    return pack_set(&file, bytes, size);
}

static void every_kind_of_symbol_and_extension_is_found(void **state)
{
    static const char *const symbols[] = {"p.Outer",        "p.Outer.Inner",  "p.Outer.Kind", "p.Outer.FIRST",
                                          "p.Outer.choice", "p.Outer.inside", "p.beside"};
    uint8_t bytes[1024];
    struct berth_service service = greeter;
    Grpc__Reflection__V1__ExtensionRequest extension = GRPC__REFLECTION__V1__EXTENSION_REQUEST__INIT;
    request_message request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    struct berth_testing_call *call;
    response_message *response;

    service.name = "p.Service";
    service.descriptors = bytes;
    service.descriptors_length = pack_all_kinds(bytes, sizeof(bytes));
    provide(*state, &service);
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
        assert_file(ask(*state, ASKS(FILE_CONTAINING_SYMBOL), symbols[i]), "p.proto", 1);
    assert_error(ask(*state, ASKS(FILE_CONTAINING_SYMBOL), "p.Outer.Kind.FIRST"), BERTH_NOT_FOUND);
    response = ask(*state, ASKS(ALL_EXTENSION_NUMBERS_OF_TYPE), "p.Outer");
    assert_int_equal(response->message_response_case, ANSWERS(ALL_EXTENSION_NUMBERS_RESPONSE));
    assert_string_equal(response->all_extension_numbers_response->base_type_name, "p.Outer");
    assert_int_equal(response->all_extension_numbers_response->n_extension_number, 2);
    assert_int_equal(response->all_extension_numbers_response->extension_number[0], 100);
    assert_int_equal(response->all_extension_numbers_response->extension_number[1], 200);
    release(response);
    response = ask(*state, ASKS(ALL_EXTENSION_NUMBERS_OF_TYPE), "p.Outer.Inner");
    assert_int_equal(response->all_extension_numbers_response->n_extension_number, 0);
    release(response);
    call = berth_testing_call_create(*state, V1, NULL);
    extension.containing_type = (char *)(uintptr_t) "p.Outer";
    request.message_request_case = ASKS(FILE_CONTAINING_EXTENSION);
    request.file_containing_extension = &extension;
    extension.extension_number = 200;
    send_request(*state, call, &request);
    extension.extension_number = 201;
    send_request(*state, call, &request);
    assert_file(take(call, 0), "p.proto", 1);
    assert_error(take(call, 1), BERTH_NOT_FOUND);
    berth_testing_call_destroy(call);
}

static void broken_descriptors_are_told_of_and_the_rest_is_shown(void **state)
{
    struct berth_service service = greeter;

    service.name = "a.Broken";
    service.descriptors = "\x0a\x7f";
    service.descriptors_length = 2;
    provide(*state, &service);
    assert_file(ask(*state, ASKS(FILE_CONTAINING_SYMBOL), "helloworld.Greeter"),
                "helloworld/helloworld.proto", 1);
    assert_true(berth_testing_has_logged(*state, "descriptors of a.Broken are damaged"));
}

static void descriptors_cut_or_changed_anywhere_crash_nothing(void **state)
{
    size_t length = introspection.descriptors_length;
    uint8_t *bytes = malloc(length);

    assert_non_null(bytes);
    for (size_t i = 0; i < length; i += 7) {
        struct descriptor_index *index = descriptor_index_create();
        const struct descriptor_file **files = calloc(256, sizeof(*files));

        memcpy(bytes, introspection.descriptors, length);
        bytes[i] ^= (uint8_t)(1u << (i % 8));
        descriptor_index_add_set(index, bytes, length);
        descriptor_index_add_set(index, bytes, i);
        descriptor_index_seal(index);
        assert_true(descriptor_index_file_count(index) < 256);
        if (descriptor_index_file(index, "google/protobuf/any.proto") != NULL)
            assert_true(descriptor_index_closure(
                            index, descriptor_index_file(index, "google/protobuf/any.proto"), files) > 0);
        free(files);
        descriptor_index_destroy(index);
    }
    free(bytes);
}

static void messages_inside_messages_end_somewhere(void **state)
{
    enum { DEPTH = 100000 };
    uint8_t *bytes = malloc(16 * DEPTH);
    uint8_t *begin = bytes + 16 * DEPTH;
    struct descriptor_index *index = descriptor_index_create();

    assert_non_null(bytes);
    for (size_t i = 0; i <= DEPTH; i++) {
        size_t length = (size_t)(bytes + 16 * DEPTH - begin);
        uint8_t tag = i == DEPTH ? 0x0a : i == DEPTH - 1 ? 0x22 : 0x1a;

        *--begin = (uint8_t)(length >> 21 & 0x7f);
        *--begin = (uint8_t)(length >> 14 & 0x7f) | 0x80;
        *--begin = (uint8_t)(length >> 7 & 0x7f) | 0x80;
        *--begin = (uint8_t)(length & 0x7f) | 0x80;
        *--begin = tag;
    }
    assert_false(descriptor_index_add_set(index, begin, (size_t)(bytes + 16 * DEPTH - begin)));
    descriptor_index_seal(index);
    descriptor_index_destroy(index);
    free(bytes);
}

static void files_that_import_each_other_come_once_each(void **state)
{
    static char *const import_b[] = {(char *)(uintptr_t) "b", (char *)(uintptr_t) "a",
                                     (char *)(uintptr_t) "nobody"};
    static char *const import_a[] = {(char *)(uintptr_t) "a"};
    file_message a = GOOGLE__PROTOBUF__FILE_DESCRIPTOR_PROTO__INIT, b = a;
    struct descriptor_index *index = descriptor_index_create();
    const struct descriptor_file *files[4];
    uint8_t bytes[64];

    NAME(a, "a"), a.n_dependency = 3, a.dependency = (char **)(uintptr_t)import_b;
    NAME(b, "b"), b.n_dependency = 1, b.dependency = (char **)(uintptr_t)import_a;
    assert_true(descriptor_index_add_set(index, bytes, pack_set(&a, bytes, sizeof(bytes))));
    assert_true(descriptor_index_add_set(index, bytes, pack_set(&b, bytes, sizeof(bytes))));
    assert_true(descriptor_index_add_set(index, bytes, pack_set(&b, bytes, sizeof(bytes))));
    descriptor_index_seal(index);
    assert_int_equal(descriptor_index_closure(index, descriptor_index_file(index, "b"), files), 2);
    assert_string_equal(files[0]->name, "b");
    assert_string_equal(files[1]->name, "a");
    descriptor_index_destroy(index);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, plugin_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(services_are_listed_sorted_with_reflection_itself),
        TEST(an_answer_repeats_what_was_asked),
        TEST(a_file_is_found_by_its_name_and_by_each_symbol),
        TEST(what_nobody_defines_is_not_found),
        TEST(a_file_comes_with_all_that_it_imports),
        TEST(a_service_that_comes_later_is_there),
        TEST(a_stream_goes_on_after_an_error),
        TEST(who_does_not_read_is_asked_for_no_more),
        TEST(bytes_that_are_no_request_end_the_stream),
        TEST(a_drain_ends_those_who_ask),
        TEST(who_asks_is_asked_to_call_the_next_generation),
        TEST(every_kind_of_symbol_and_extension_is_found),
        TEST(broken_descriptors_are_told_of_and_the_rest_is_shown),
        cmocka_unit_test(descriptors_cut_or_changed_anywhere_crash_nothing),
        cmocka_unit_test(messages_inside_messages_end_somewhere),
        cmocka_unit_test(files_that_import_each_other_come_once_each),
    };

    return cmocka_run_group_tests_name("reflection", tests, NULL, NULL);
}
