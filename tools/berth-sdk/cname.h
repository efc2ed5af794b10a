/* SPDX-License-Identifier: Apache-2.0 */
/* Names of a manifest as C identifiers, and the set of those that are taken. */
#ifndef BERTH_SDK_CNAME_H
#define BERTH_SDK_CNAME_H

#include <stdbool.h>
#include <stddef.h>

/** As asprintf, but never NULL: aborts when memory is out. The caller frees. */
__attribute__((format(printf, 1, 2))) char *cname_format(const char *format, ...);

/** "server-grpc" -> "server_grpc", "class" -> "class_", "2fa" -> "n2fa": fine in C and C++. The caller frees.
 */
char *cname_from(const char *name);
/** The prefix of all that is generated for a plugin: its id, or "plugin_uv" where that would clash with ours.
 */
char *cname_for_plugin(const char *id);
/** "SayHello" -> "say_hello", "Class" -> "class": for the middle of a name. */
char *cname_words(const char *name);
/** "SayHello" -> "say_hello", "GetURL" -> "get_url", "Class" -> "class_". */
char *cname_snake(const char *name);
/** "foo_bar.v1.HTTPServer" -> "foo_bar_v1_http_server": the prefix of what protoc-gen-berth writes for it. */
char *cname_for_service(const char *name);
/** "greeter_config" -> "GREETER_CONFIG". */
char *cname_upper(const char *name);

/** Names with what each stands for. Zero-initialise. */
struct cname_set {
    struct cname_entry {
        char *name;
        char *meaning;
    } * entries;
    size_t count;
};

/** Adds a name, which it copies. @return NULL, or what the name already stands for. */
const char *cname_set_add(struct cname_set *set, const char *name, const char *meaning);
void cname_set_finish(struct cname_set *set);

#endif
