/* SPDX-License-Identifier: Apache-2.0 */
/* The C names of messages as protobuf-c 1.4 forms them, and which names of a .proto may stand in C at all. */
#ifndef PROTOC_GEN_BERTH_NAMES_H
#define PROTOC_GEN_BERTH_NAMES_H

#include <stdbool.h>

/** "foo_bar.v1.HTTPRequest" -> "FooBar__V1__HTTPRequest". The caller frees, here and below. */
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
