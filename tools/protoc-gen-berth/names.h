/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of a manifest or a .proto as C identifiers: those of our own code, those of messages as
 * protobuf-c 1.4 forms them, the set of those that are taken, and which names of a .proto may stand in C at
 * all.
 */
#ifndef PROTOC_GEN_BERTH_NAMES_H
#define PROTOC_GEN_BERTH_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/** "server-grpc" -> "server_grpc", "class" -> "class_", "2fa" -> "n2fa": fine in C and C++. The caller frees,
 * here and below.
 */
char *names_from(const char *name);
/** The prefix of all that is generated for a plugin: its id, or "plugin_uv" where that would clash with ours.
 */
char *names_for_plugin(const char *id);
/** "SayHello" -> "say_hello", "Class" -> "class": for the middle of a name. */
char *names_words(const char *name);
/** "SayHello" -> "say_hello", "GetURL" -> "get_url", "Class" -> "class_". */
char *names_snake(const char *name);
/** "foo_bar.v1.HTTPServer" -> "foo_bar_v1_http_server": the prefix of what protoc-gen-berth writes for it. */
char *names_for_service(const char *name);
/** "greeter_config" -> "GREETER_CONFIG". */
char *names_upper(const char *name);

/** Names with what each stands for. Zero-initialise. */
struct names_set {
    struct names_entry {
        char *name;
        char *meaning;
    } * entries;
    size_t count;
};

/** Adds a name, which it copies. @return NULL, or what the name already stands for. */
const char *names_set_add(struct names_set *set, const char *name, const char *meaning);
void names_set_finish(struct names_set *set);

/** "foo_bar.v1.HTTPRequest" -> "FooBar__V1__HTTPRequest". The caller frees, here and
 * below. */
char *names_type(const char *full_name);
/** "foo_bar.v1.HTTPRequest" -> "foo_bar__v1__httprequest". */
char *names_symbol(const char *full_name);
/** "a-b/x.proto" -> "a_2db_2fx_2eproto". */
char *names_file_identifier(const char *file);
/** "a/x.proto" -> "a/x". */
char *names_file_stem(const char *file);

/** Is it words of letters, digits and underscores, with a dot between them? */
bool names_is_full(const char *name);
/** The same without a dot. */
bool names_is_word(const char *name);
/** Can it stand in an #include and in a comment, and does it stay below the folder it is written to? */
bool names_is_file(const char *name);

#endif
