/* SPDX-License-Identifier: Apache-2.0 */
/* The generator against requests that no protoc would send: each is refused with a sentence, and none ends
 * it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "names.h"
#include "plugin.h"

typedef Google__Protobuf__Compiler__CodeGeneratorRequest code_request;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse code_response;

/* A request for one file with one service of one method; tests change what they are about. */
struct parts {
    Google__Protobuf__MethodDescriptorProto method[2];
    Google__Protobuf__MethodDescriptorProto *methods[2];
    Google__Protobuf__ServiceDescriptorProto service;
    Google__Protobuf__ServiceDescriptorProto *services[1];
    Google__Protobuf__DescriptorProto message;
    Google__Protobuf__DescriptorProto *messages[1];
    char *imports[1];
    Google__Protobuf__FileDescriptorProto file;
    Google__Protobuf__FileDescriptorProto *files[1];
    char *names[1];
    code_request request;
};

static char *text(const char *literal)
{
    return (char *)(uintptr_t)literal;
}

static void fill(struct parts *p)
{
    for (size_t i = 0; i < 2; i++) {
        p->method[i] =
            (Google__Protobuf__MethodDescriptorProto)GOOGLE__PROTOBUF__METHOD_DESCRIPTOR_PROTO__INIT;
        p->method[i].name = text("Call");
        p->method[i].input_type = text(".a.b.M");
        p->method[i].output_type = text(".a.b.M");
        p->methods[i] = &p->method[i];
    }
    p->service = (Google__Protobuf__ServiceDescriptorProto)GOOGLE__PROTOBUF__SERVICE_DESCRIPTOR_PROTO__INIT;
    p->service.name = text("S");
    p->service.n_method = 1;
    p->service.method = p->methods;
    p->services[0] = &p->service;
    p->message = (Google__Protobuf__DescriptorProto)GOOGLE__PROTOBUF__DESCRIPTOR_PROTO__INIT;
    p->message.name = text("M");
    p->messages[0] = &p->message;
    p->file = (Google__Protobuf__FileDescriptorProto)GOOGLE__PROTOBUF__FILE_DESCRIPTOR_PROTO__INIT;
    p->file.name = text("d/x.proto");
    p->file.package = text("a.b");
    p->file.n_service = 1;
    p->file.service = p->services;
    p->file.n_message_type = 1;
    p->file.message_type = p->messages;
    p->file.dependency = p->imports;
    p->files[0] = &p->file;
    p->names[0] = text("d/x.proto");
    p->request = (code_request)GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_REQUEST__INIT;
    p->request.n_proto_file = 1;
    p->request.proto_file = p->files;
    p->request.n_file_to_generate = 1;
    p->request.file_to_generate = p->names;
}

static const struct plugin_options both = {.service = true, .client = true};

static void expect_refused(const struct parts *p, const char *sentence)
{
    struct berth_error err = {""};
    uint8_t *bytes;
    size_t length;

    assert_int_equal(plugin_generate(&p->request, &both, &bytes, &length, &err), BERTH_INVALID_ARGUMENT);
    if (strstr(err.message, sentence) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", sentence, err.message);
}

static void a_request_is_answered_with_four_files(void **state)
{
    static const char *const names[] = {"d/x.berth.h", "d/x.berth.c", "d/x.client.h", "d/x.client.c"};
    struct parts p = {0};
    code_response *response;
    uint8_t *bytes;
    size_t length;

    fill(&p);
    assert_int_equal(plugin_generate(&p.request, &both, &bytes, &length, NULL), BERTH_OK);
    response = google__protobuf__compiler__code_generator_response__unpack(NULL, length, bytes);
    free(bytes);
    assert_non_null(response);
    assert_int_equal(response->supported_features, 1);
    assert_int_equal(response->n_file, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(response->file[i]->name, names[i]);
    assert_non_null(strstr(response->file[0]->content, "struct a_b_s_handlers"));
    google__protobuf__compiler__code_generator_response__free_unpacked(response, NULL);
}

static void names_that_would_be_code_are_refused(void **state)
{
    static const char *const words[] = {"", "a b", "a;b", "1a", "a.b", "x\n#include", "\xc3\xa4"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct parts p = {0};

        fill(&p);
        p.service.name = text(words[i]);
        expect_refused(&p, "is not a valid service name");
        fill(&p);
        p.method[0].name = text(words[i]);
        expect_refused(&p, "is not a valid method name");
        fill(&p);
        p.message.name = text(words[i]);
        expect_refused(&p, "is not a valid message name");
    }
}

static void a_package_or_file_that_would_be_code_is_refused(void **state)
{
    static const char *const packages[] = {".", "a..b", "a.", ".a", "a.1", "a b"};
    static const char *const files[] = {"",     "/etc/x.proto", "../x.proto", "a/../x.proto",
                                        "x\"y", "x\ny.proto",   "a\\b.proto", "*/.proto"};
    struct parts p = {0};

    for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++) {
        fill(&p);
        p.file.package = text(packages[i]);
        expect_refused(&p, "is not a valid package name");
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        fill(&p);
        p.file.name = p.names[0] = text(files[i]);
        expect_refused(&p, "is not a file name");
    }
}

static void what_is_named_and_not_there_is_refused(void **state)
{
    struct parts p = {0};

    fill(&p);
    p.names[0] = text("other.proto");
    expect_refused(&p, "other.proto: is missing from the request");
    fill(&p);
    p.method[0].output_type = text(".a.b.Gone");
    expect_refused(&p, "d/x.proto: method a.b.S/Call uses \".a.b.Gone\"");
    fill(&p);
    p.method[0].input_type = NULL;
    expect_refused(&p, "which is missing from the request");
    fill(&p);
    p.file.n_dependency = 1;
    p.imports[0] = text("gone.proto");
    expect_refused(&p, "d/x.proto: imports gone.proto");
    fill(&p);
    p.file.n_dependency = 1;
    p.imports[0] = text("d/x.proto");
    expect_refused(&p, "d/x.proto: imports d/x.proto");
}

static void two_methods_with_one_name_in_c_are_refused(void **state)
{
    struct parts p = {0};

    fill(&p);
    p.service.n_method = 2;
    p.method[0].name = text("GetURL");
    p.method[1].name = text("GetUrl");
    expect_refused(&p, "method a.b.S/GetURL and method a.b.S/GetUrl would both be \"a_b_s_get_url\" in C");
}

static void options_that_are_not_known_are_refused_by_name(void **state)
{
    struct plugin_options options;
    struct berth_error err;

    assert_int_equal(plugin_options_parse(NULL, &options, NULL), BERTH_OK);
    assert_true(options.service && options.client && !options.messages);
    assert_int_equal(plugin_options_parse("messages,service", &options, NULL), BERTH_OK);
    assert_true(options.service && !options.client && options.messages);
    assert_int_equal(plugin_options_parse("service,clint", &options, &err), BERTH_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "unknown word \"clint\""));
    assert_int_equal(plugin_options_parse("service,", &options, &err), BERTH_INVALID_ARGUMENT);
}

/* Whatever the bytes, there is an answer or a refusal. */
static void try_bytes(const uint8_t *bytes, size_t length)
{
    code_request *request = plugin_unpack(bytes, length);
    struct berth_error err;
    uint8_t *answer;
    size_t answer_length;

    if (request == NULL)
        return;
    if (plugin_generate(request, &both, &answer, &answer_length, &err) == BERTH_OK)
        free(answer);
    google__protobuf__compiler__code_generator_request__free_unpacked(request, NULL);
}

static void a_request_that_is_cut_or_damaged_does_not_end_the_generator(void **state)
{
    struct parts p = {0};
    uint8_t bytes[512];
    size_t length;

    fill(&p);
    length = google__protobuf__compiler__code_generator_request__pack(&p.request, bytes);
    assert_true(length < sizeof(bytes));
    for (size_t i = 0; i <= length; i++)
        try_bytes(bytes, i);
    for (size_t i = 0; i < length * 8; i++) {
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        try_bytes(bytes, length);
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
    }
}

static void a_name_becomes_what_protobuf_c_makes_of_it(void **state)
{
    static const char *const cases[][3] = {
        {"foo_bar.v1.HTTPRequest2X", "FooBar__V1__HTTPRequest2X", "foo_bar__v1__httprequest2_x"},
        {"_under", "Under", "_under"},
        {"A1B2.inner_one", "A1B2__InnerOne", "a1_b2__inner_one"},
        {"Two__under", "TwoUnder", "two__under"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *type = names_type(cases[i][0]), *symbol = names_symbol(cases[i][0]);

        assert_string_equal(type, cases[i][1]);
        assert_string_equal(symbol, cases[i][2]);
        free(type);
        free(symbol);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_answered_with_four_files),
        cmocka_unit_test(names_that_would_be_code_are_refused),
        cmocka_unit_test(a_package_or_file_that_would_be_code_is_refused),
        cmocka_unit_test(what_is_named_and_not_there_is_refused),
        cmocka_unit_test(two_methods_with_one_name_in_c_are_refused),
        cmocka_unit_test(options_that_are_not_known_are_refused_by_name),
        cmocka_unit_test(a_request_that_is_cut_or_damaged_does_not_end_the_generator),
        cmocka_unit_test(a_name_becomes_what_protobuf_c_makes_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
