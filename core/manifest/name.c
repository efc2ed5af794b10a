/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of the names in a manifest: types, ids, URIs, services, settings. */
#include "name.h"

#include <string.h>

#include "manifest.h"

/* The longest file name. */
#define NAME_BYTES_MAX 255
#define TRANSPORT_BYTES_MAX 31

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "v1", "v27": no zero in front, so that one version has one spelling. */
static bool is_version_label(const char *label, size_t length)
{
    if (length < 2 || length > 9 || label[0] != 'v' || label[1] == '0')
        return false;
    for (size_t i = 1; i < length; i++) {
        if (!is_digit(label[i]))
            return false;
    }
    return true;
}

static bool is_label(const char *label, size_t length)
{
    if (length == 0 || !is_alnum(label[0]))
        return false;
    for (size_t i = 1; i < length; i++) {
        if (!is_alnum(label[i]) && label[i] != '-' && label[i] != '_')
            return false;
    }
    return true;
}

/* The version label may only be the last one: else a type could be read as a URI. */
static bool is_type(const char *type, size_t length)
{
    size_t count = 0;
    size_t start = 0;

    if (length > MANIFEST_TYPE_MAX)
        return false;
    for (size_t i = 0; i <= length; i++) {
        if (i < length && type[i] != '.')
            continue;
        if (!is_label(type + start, i - start))
            return false;
        if (is_version_label(type + start, i - start))
            return i == length && count >= 2;
        count++;
        start = i + 1;
    }
    return false;
}

bool manifest_type_is_valid(const char *type)
{
    return is_type(type, strlen(type));
}

bool manifest_id_is_valid(const char *id)
{
    size_t length = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");

    return length > 0 && length <= MANIFEST_ID_MAX && id[length] == '\0';
}

bool manifest_uri_split(const char *uri, size_t *ret_type_length)
{
    const char *dot = strrchr(uri, '.');

    if (dot == NULL || !manifest_id_is_valid(dot + 1) || !is_type(uri, (size_t)(dot - uri)))
        return false;
    *ret_type_length = (size_t)(dot - uri);
    return true;
}

/* An identifier as protobuf has it: "SayHello". */
static bool is_identifier(const char *name, size_t length)
{
    if (length == 0 || is_digit(name[0]))
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!is_alnum(name[i]) && name[i] != '_')
            return false;
    }
    return length <= NAME_BYTES_MAX;
}

/* Parts joined by dots, each of which `is_part`: "helloworld.Greeter", "limits.burst". */
static bool is_dotted(const char *name, bool (*is_part)(const char *part, size_t length))
{
    size_t length;

    if (strlen(name) > MANIFEST_SETTING_MAX)
        return false;
    for (;; name += length + 1) {
        length = strcspn(name, ".");
        if (!is_part(name, length))
            return false;
        if (name[length] == '\0')
            return true;
    }
}

bool manifest_identifier_is_valid(const char *name)
{
    return is_identifier(name, strlen(name));
}

bool manifest_proto_is_valid(const char *path)
{
    static const char ending[] = ".proto";
    size_t length = strlen(path);

    if (length < sizeof(ending) || length > NAME_BYTES_MAX || *path == '/' || strstr(path, "..") != NULL ||
        strcmp(path + length - sizeof(ending) + 1, ending) != 0)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!is_alnum(path[i]) && strchr("_-./+", path[i]) == NULL)
            return false;
    }
    return true;
}

bool manifest_service_is_valid(const char *name)
{
    return is_dotted(name, is_identifier);
}

bool manifest_transport_is_valid(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

    return name[0] >= 'a' && name[0] <= 'z' && name[length] == '\0' && length <= TRANSPORT_BYTES_MAX;
}

static bool is_setting(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!is_alnum(name[i]) && name[i] != '-' && name[i] != '_')
            return false;
    }
    return length > 0;
}

bool manifest_setting_is_valid(const char *path)
{
    return is_dotted(path, is_setting);
}

static bool is_setting_or_star(const char *name, size_t length)
{
    return (length == 1 && *name == '*') || is_setting(name, length);
}

bool manifest_rename_is_valid(const char *path)
{
    const char *last = strrchr(path, '.');

    return is_dotted(path, is_setting_or_star) && *path != '*' && (last == NULL || last[1] != '*');
}
