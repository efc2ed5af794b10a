/* SPDX-License-Identifier: Apache-2.0 */
/* Reads keys and lock file, and decides on files by them. */
#include "trust.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <berth/signature.h>
#include <config/text/utf8.h>

#include <core/scan/scan.h>
#include <sdk/base/error_code.h>
#include <sdk/base/memory.h>
#include <sdk/base/text_file.h>

#define KEYS_MAX 1024

struct known_key {
    struct berth_public_key key;
    char *path;
};

struct trust {
    const struct trust_options *options;
    struct known_key *keys;
    size_t key_count;
    /* Something is to be verified with, even if none of it could be read. */
    bool has_keys;
    bool needs_hash;
    struct trust_lock *lock;
    /* One for each entry of the lock file: it was checked for, by any thread. */
    atomic_bool *is_met;
};

/* "/etc/berth/berthd.yaml:3:12" */
struct place {
    char text[PATH_MAX + 32];
};

static struct place show(const struct config_mark *mark)
{
    struct place place;

    if (mark->file == NULL)
        snprintf(place.text, sizeof(place.text), "the default");
    else if (mark->line == 0)
        snprintf(place.text, sizeof(place.text), "%.*s", PATH_MAX, mark->file);
    else
        snprintf(place.text, sizeof(place.text), "%.*s:%u:%u", PATH_MAX, mark->file, mark->line,
                 mark->column);
    return place;
}

/* Reads a file that nobody but root and the daemon's user could have written. */
static enum berth_code read_owned(const char *path, size_t max_bytes, char **ret_text, size_t *ret_length,
                                  struct berth_error *err)
{
    enum berth_code code = verify_way(path, err);

    return code == BERTH_OK ? text_file_read(path, max_bytes, ret_text, ret_length, err) : code;
}

static void add_key(struct trust *trust, const struct trust_text *pattern, const char *path,
                    struct config_diagnostics *diagnostics)
{
    struct berth_error err;
    struct known_key known;
    size_t length;
    char *text;
    enum berth_code code;

    if (trust->key_count == KEYS_MAX) {
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &pattern->mark, "trust.keys: more than %d keys",
                               KEYS_MAX);
        return;
    }
    code = trust->options->keys_of_anybody
               ? text_file_read(path, BERTH_SIGNATURE_FILE_MAX, &text, &length, &err)
               : read_owned(path, BERTH_SIGNATURE_FILE_MAX, &text, &length, &err);
    if (code != BERTH_OK) {
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &pattern->mark, "trust.keys: %s", err.message);
        return;
    }
    code = berth_public_key_parse(text, length, &known.key, &err);
    free(text);
    if (code != BERTH_OK) {
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &pattern->mark,
                               "trust.keys: %s: not a minisign public key: %s", path, err.message);
        return;
    }
    known.path = memory_copy(path);
    trust->keys = memory_grow(trust->keys, trust->key_count, sizeof(*trust->keys));
    trust->keys[trust->key_count++] = known;
}

/* glob(3) hands its error function no context. */
static _Thread_local int unreadable;

static int on_unreadable(const char *path, int error)
{
    (void)path;
    unreadable = error;
    return error != ENOENT && error != ENOTDIR;
}

static void find_keys(struct trust *trust, const struct trust_text *pattern,
                      struct config_diagnostics *diagnostics)
{
    bool is_pattern = strpbrk(pattern->text, "*?[") != NULL;
    glob_t found;
    int code;

    if (!is_pattern) {
        add_key(trust, pattern, pattern->text, diagnostics);
        trust->has_keys = true;
        return;
    }
    code = glob(pattern->text, 0, on_unreadable, &found);
    if (code == GLOB_ABORTED)
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &pattern->mark,
                               "trust.keys: %s: cannot be read: %s", pattern->text, strerror(unreadable));
    else if (code == GLOB_NOSPACE)
        abort();
    else if (code == GLOB_NOMATCH && strcmp(pattern->text, TRUST_DEFAULT_KEYS) != 0)
        config_diagnostics_add(diagnostics, CONFIG_WARNING, &pattern->mark, "trust.keys: %s matches no file",
                               pattern->text);
    for (size_t i = 0; code == 0 && i < found.gl_pathc; i++)
        add_key(trust, pattern, found.gl_pathv[i], diagnostics);
    trust->has_keys = trust->has_keys || code == GLOB_ABORTED || (code == 0 && found.gl_pathc > 0);
    if (code != GLOB_NOMATCH)
        globfree(&found);
}

static bool is_hash(const char *text)
{
    return strlen(text) == BERTH_SHA256_TEXT - 1 &&
           strspn(text, "0123456789abcdefABCDEF") == BERTH_SHA256_TEXT - 1;
}

static void check_revoked(struct trust *trust, struct config_diagnostics *diagnostics)
{
    const struct trust_options *options = trust->options;
    uint8_t id[BERTH_KEY_ID_BYTES];

    for (size_t i = 0; i < options->revoked_count; i++) {
        const struct trust_text *revoked = &options->revoked[i];

        if (is_hash(revoked->text))
            trust->needs_hash = true;
        else if (!berth_key_id_parse(revoked->text, id))
            config_diagnostics_add(diagnostics, CONFIG_ERROR, &revoked->mark,
                                   "trust.revoked: \"%.80s\" is neither a key id (16 hexadecimal digits) nor "
                                   "the SHA-256 of a file "
                                   "(64 hexadecimal digits)",
                                   revoked->text);
    }
}

static void read_lock(struct trust *trust, struct config_diagnostics *diagnostics)
{
    const struct trust_text *lock = &trust->options->lock;
    struct berth_error err;
    size_t length, count;
    char *text;

    if (read_owned(lock->text, TRUST_LOCK_MAX_BYTES, &text, &length, &err) != BERTH_OK) {
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &lock->mark,
                               "lock: %s; review the plan, then write the file with `berthd plan --lock`",
                               err.message);
        return;
    }
    trust->lock = trust_lock_parse(lock->text, text, length, diagnostics);
    free(text);
    if (trust->lock == NULL)
        return;
    trust_lock_items(trust->lock, &count);
    trust->is_met = memory_allocate(count, sizeof(*trust->is_met));
    trust->needs_hash = true;
}

struct trust *trust_create(const struct trust_options *options, struct config_diagnostics *diagnostics)
{
    struct trust *trust = memory_allocate(1, sizeof(*trust));

    *trust = (struct trust){.options = options, .needs_hash = options->is_locking};
    if (options->require == TRUST_REQUIRE_NONE)
        config_diagnostics_add(diagnostics, CONFIG_WARNING, &options->require_mark,
                               "trust.require is none: whoever can write to a plugin directory controls the "
                               "daemon");
    for (size_t i = 0; i < options->key_count; i++)
        find_keys(trust, &options->keys[i], diagnostics);
    if (options->require == TRUST_REQUIRE_SIGNATURE && trust->key_count == 0)
        config_diagnostics_add(
            diagnostics, CONFIG_ERROR, &options->require_mark,
            "trust.require is signature, but no public key is configured: add one to trust.keys");
    check_revoked(trust, diagnostics);
    if (options->lock.text != NULL && !options->is_locking)
        read_lock(trust, diagnostics);
    return trust;
}

void trust_destroy(struct trust *trust)
{
    if (trust == NULL)
        return;
    for (size_t i = 0; i < trust->key_count; i++)
        free(trust->keys[i].path);
    free(trust->keys);
    trust_lock_destroy(trust->lock);
    free(trust->is_met);
    free(trust);
}

bool trust_needs_owner(const struct trust *trust)
{
    return trust->options->require != TRUST_REQUIRE_NONE;
}

bool trust_needs_libraries(const struct trust *trust)
{
    return trust->options->require == TRUST_REQUIRE_SIGNATURE || trust->needs_hash;
}

static const struct trust_text *find_revoked_file(const struct trust *trust, const char *sha256)
{
    for (size_t i = 0; i < trust->options->revoked_count; i++)
        if (strcasecmp(trust->options->revoked[i].text, sha256) == 0)
            return &trust->options->revoked[i];
    return NULL;
}

static const struct trust_text *find_revoked_key(const struct trust *trust,
                                                 const uint8_t key_id[BERTH_KEY_ID_BYTES])
{
    uint8_t id[BERTH_KEY_ID_BYTES];

    for (size_t i = 0; i < trust->options->revoked_count; i++)
        if (berth_key_id_parse(trust->options->revoked[i].text, id) && memcmp(id, key_id, sizeof(id)) == 0)
            return &trust->options->revoked[i];
    return NULL;
}

static enum berth_code hash_file(const struct trust *trust, const char *path, const void *bytes,
                                 size_t length, struct trust_seal *seal, struct berth_error *err)
{
    const struct trust_text *revoked;
    struct berth_error reason;
    char sha256[BERTH_SHA256_TEXT];
    enum berth_code code;

    if (!trust->needs_hash)
        return BERTH_OK;
    code = berth_sha256(bytes, length, sha256, &reason);
    if (code != BERTH_OK)
        return berth_error_set(err, code, "%s: cannot be hashed: %s", path, reason.message);
    seal->sha256 = memory_copy(sha256);
    revoked = find_revoked_file(trust, sha256);
    if (revoked != NULL)
        return berth_error_set(err, BERTH_PERMISSION_DENIED,
                               "%s: this file is revoked at %s (SHA-256 %s): install another version", path,
                               show(&revoked->mark).text, seal->sha256);
    return BERTH_OK;
}

/* @return BERTH_OK with `*ret_text` NULL where there is none. */
static enum berth_code read_signature(const char *path, char **ret_text, struct berth_error *err)
{
    char *beside = memory_format("%s" BERTH_SIGNATURE_SUFFIX, path);
    enum berth_code code;
    struct stat status;
    size_t length;

    /* Most files have none. A link that leads nowhere is one that cannot be read. */
    if (lstat(beside, &status) != 0 && errno == ENOENT) {
        free(beside);
        *ret_text = NULL;
        return BERTH_OK;
    }
    code = text_file_read(beside, BERTH_SIGNATURE_FILE_MAX, ret_text, &length, err);
    if (code == BERTH_OK && strlen(*ret_text) != length) {
        free(*ret_text);
        *ret_text = NULL;
        code = berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%s: its signature is malformed: %s contains a NUL byte", path, beside);
    } else if (code != BERTH_OK) {
        struct berth_error reason = *err;

        code = berth_error_set(err, code == BERTH_NOT_FOUND ? BERTH_INVALID_ARGUMENT : code,
                               "%s: its signature cannot be read: %s", path, reason.message);
    }
    free(beside);
    return code;
}

static enum berth_code verify_by_keys(const struct trust *trust, const char *path,
                                      const struct berth_signature *signature, const void *bytes,
                                      size_t length, struct trust_seal *seal, struct berth_error *err)
{
    enum berth_code code = BERTH_UNAUTHENTICATED;
    struct berth_error reason = {""};
    char sha256[BERTH_SHA256_TEXT];

    for (size_t i = 0; i < trust->key_count && code != BERTH_OK; i++)
        if (memcmp(trust->keys[i].key.id, signature->key_id, sizeof(signature->key_id)) == 0)
            code = berth_signature_verify(signature, &trust->keys[i].key, bytes, length, &reason);
    if (code == BERTH_UNAUTHENTICATED)
        return berth_error_set(
            err, BERTH_PERMISSION_DENIED,
            "%s: signed by key %s, which is not among trust.keys: add that key if you trust "
            "it, or install a file signed by one that is",
            path, seal->key_id);
    if (code != BERTH_OK)
        return berth_error_set(err, code, "%s: %s by key %s%s: %s", path,
                               code == BERTH_UNAVAILABLE ? "the signature" : "wrong signature", seal->key_id,
                               code == BERTH_UNAVAILABLE ? " cannot be verified" : "", reason.message);
    seal->state = TRUST_SIGNED;
    seal->comment = memory_copy(signature->comment);
    utf8_make_line(seal->comment);
    /* Whoever copies the file later has to find what was verified here. */
    if (seal->sha256 == NULL) {
        code = berth_sha256(bytes, length, sha256, &reason);
        if (code != BERTH_OK)
            return berth_error_set(err, code, "%s: cannot be hashed: %s", path, reason.message);
        seal->sha256 = memory_copy(sha256);
    }
    return BERTH_OK;
}

static enum berth_code verify_text(const struct trust *trust, const char *path, const char *text,
                                   size_t text_length, const void *bytes, size_t length,
                                   struct trust_seal *seal, struct berth_error *err)
{
    const struct trust_text *revoked;
    struct berth_signature signature;
    char key_id[BERTH_KEY_ID_TEXT];
    struct berth_error reason;
    enum berth_code code = berth_signature_parse(text, text_length, &signature, &reason);

    if (code != BERTH_OK)
        return berth_error_set(err, code, "%s: its signature is malformed: %s" BERTH_SIGNATURE_SUFFIX ": %s",
                               path, path, reason.message);
    seal->state = TRUST_UNVERIFIED;
    berth_key_id_format(signature.key_id, key_id);
    seal->key_id = memory_copy(key_id);
    revoked = find_revoked_key(trust, signature.key_id);
    if (revoked != NULL)
        return berth_error_set(
            err, BERTH_PERMISSION_DENIED,
            "%s: signed by key %s, which is revoked at %s: install a file signed by another "
            "key",
            path, seal->key_id, show(&revoked->mark).text);
    if (!trust->has_keys)
        return BERTH_OK;
    code = verify_by_keys(trust, path, &signature, bytes, length, seal, err);
    if (code == BERTH_OK && !trust_parse_comment(seal->comment, &seal->module, &seal->version))
        code =
            berth_error_set(err, BERTH_INVALID_ARGUMENT,
                            "%s: the trusted comment of its signature names a module or version twice", path);
    return code;
}

/* With the signature in the seal. */
static enum berth_code check_signature(const struct trust *trust, const char *path, const void *bytes,
                                       size_t length, struct trust_seal *seal, struct berth_error *err)
{
    enum berth_code code = BERTH_OK;

    if (seal->signature != NULL)
        code = verify_text(trust, path, seal->signature, strlen(seal->signature), bytes, length, seal, err);
    if (code != BERTH_OK || trust->options->require != TRUST_REQUIRE_SIGNATURE || seal->state == TRUST_SIGNED)
        return code;
    if (seal->state == TRUST_UNVERIFIED)
        return berth_error_set(err, BERTH_PERMISSION_DENIED,
                               "%s: signed by key %s, but trust.keys has no key to verify it with", path,
                               seal->key_id);
    return berth_error_set(
        err, BERTH_PERMISSION_DENIED,
        "%s: not signed, but trust.require is signature (%s): there is no %s" BERTH_SIGNATURE_SUFFIX
        "; install the signature beside the file, or sign it with `berth-sdk sign`",
        path, show(&trust->options->require_mark).text, path);
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* Notes every entry of the file: copies of one module are one file several times. @return the first, or NULL.
 */
static const struct trust_locked *find_locked(struct trust *trust, const char *sha256)
{
    const struct trust_locked *found = NULL;
    size_t count;
    const struct trust_locked *items = trust_lock_items(trust->lock, &count);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(items[i].sha256, sha256) != 0)
            continue;
        trust->is_met[i] = true;
        if (found == NULL)
            found = &items[i];
    }
    return found;
}

/* A file of that name is there, whatever becomes of it. */
static void note_found(struct trust *trust, const char *name)
{
    size_t count = 0;
    const struct trust_locked *items = trust->lock != NULL ? trust_lock_items(trust->lock, &count) : NULL;

    for (size_t i = 0; i < count; i++)
        if (strcmp(items[i].file, name) == 0)
            trust->is_met[i] = true;
}

static enum berth_code check_lock(struct trust *trust, const char *path, const struct trust_seal *seal,
                                  struct berth_error *err)
{
    const char *name = name_of(path);
    size_t count;
    const struct trust_locked *items;

    if (trust->lock == NULL || find_locked(trust, seal->sha256) != NULL)
        return BERTH_OK;
    items = trust_lock_items(trust->lock, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(items[i].file, name) != 0)
            continue;
        return berth_error_set(
            err, BERTH_FAILED_PRECONDITION,
            "%s: differs from %s, which has %s%s%s as SHA-256 %s; this file's is %s: install the "
            "locked one, or check this one and run `berthd plan --lock`",
            path, show(&items[i].mark).text, items[i].module != NULL ? items[i].module : "this library",
            items[i].module != NULL ? " " : "", items[i].module != NULL ? items[i].version : "",
            items[i].sha256, seal->sha256);
    }
    return berth_error_set(
        err, BERTH_FAILED_PRECONDITION,
        "%s: not listed in %s (SHA-256 %s): remove it, or check it and run `berthd plan --lock`", path,
        trust->options->lock.text, seal->sha256);
}

static enum berth_code check(struct trust *trust, const char *path, const void *bytes, size_t length,
                             struct trust_seal *seal, struct berth_error *err)
{
    enum berth_code code = check_signature(trust, path, bytes, length, seal, err);

    return code == BERTH_OK ? check_lock(trust, path, seal, err) : code;
}

static enum berth_code begin_check(struct trust *trust, const char *path, const void *bytes, size_t length,
                                   struct trust_seal *ret_seal, struct berth_error *err)
{
    *ret_seal = (struct trust_seal){0};
    note_found(trust, name_of(path));
    return hash_file(trust, path, bytes, length, ret_seal, err);
}

enum berth_code trust_check_file(struct trust *trust, const char *path, const void *bytes, size_t length,
                                 struct trust_seal *ret_seal, struct berth_error *err)
{
    enum berth_code code = begin_check(trust, path, bytes, length, ret_seal, err);

    if (code == BERTH_OK)
        code = read_signature(path, &ret_seal->signature, err);
    return code == BERTH_OK ? check(trust, path, bytes, length, ret_seal, err) : code;
}

enum berth_code trust_check_earlier(struct trust *trust, const char *path, const void *bytes, size_t length,
                                    const char *signature, struct trust_seal *ret_seal,
                                    struct berth_error *err)
{
    enum berth_code code = begin_check(trust, path, bytes, length, ret_seal, err);

    if (signature != NULL)
        ret_seal->signature = memory_copy(signature);
    return code == BERTH_OK ? check(trust, path, bytes, length, ret_seal, err) : code;
}

static enum berth_code check_comment(const char *path, const struct trust_seal *seal, const char *what,
                                     const char *signed_for, const char *found, struct berth_error *err)
{
    if (signed_for == NULL || strcmp(signed_for, found) == 0)
        return BERTH_OK;
    return berth_error_set(
        err, BERTH_PERMISSION_DENIED,
        "%s: key %s signed it as %s \"%.200s\", but its manifest has %s \"%.200s\": sign it again", path,
        seal->key_id, what, signed_for, what, found);
}

static enum berth_code check_minimum(const struct trust *trust, const char *path, const char *module,
                                     const char *version, struct berth_error *err)
{
    for (size_t i = 0; i < trust->options->minimum_count; i++) {
        const struct trust_minimum *minimum = &trust->options->minimums[i];

        if (strcmp(minimum->module, module) == 0 &&
            trust_compare_versions(version, minimum->version.text) < 0)
            return berth_error_set(
                err, BERTH_FAILED_PRECONDITION,
                "%s: module %.200s is version %.200s, below the minimum %.200s of trust.minimum "
                "(%s): install a newer one",
                path, module, version, minimum->version.text, show(&minimum->version.mark).text);
    }
    return BERTH_OK;
}

static enum berth_code check_locked_module(struct trust *trust, const char *path,
                                           const struct trust_seal *seal, const char *module,
                                           const char *version, struct berth_error *err)
{
    const struct trust_locked *locked = trust->lock != NULL ? find_locked(trust, seal->sha256) : NULL;

    if (locked == NULL || (locked->module != NULL && strcmp(locked->module, module) == 0 &&
                           strcmp(locked->version, version) == 0))
        return BERTH_OK;
    return berth_error_set(
        err, BERTH_FAILED_PRECONDITION,
        "%s: %s lists this file as %.200s %.200s, but its manifest has module %.200s %.200s: "
        "run `berthd plan --lock` again",
        path, show(&locked->mark).text, locked->module != NULL ? locked->module : "a",
        locked->module != NULL ? locked->version : "library", module, version);
}

enum berth_code trust_check_module(struct trust *trust, const char *path, const struct trust_seal *seal,
                                   const char *module, const char *version, struct berth_error *err)
{
    enum berth_code code = check_comment(path, seal, "module", seal->module, module, err);

    if (code == BERTH_OK)
        code = check_comment(path, seal, "version", seal->version, version, err);
    if (code == BERTH_OK)
        code = check_minimum(trust, path, module, version, err);
    return code == BERTH_OK ? check_locked_module(trust, path, seal, module, version, err) : code;
}

void trust_seal_finish(struct trust_seal *seal)
{
    free(seal->key_id);
    free(seal->sha256);
    free(seal->comment);
    free(seal->module);
    free(seal->version);
    free(seal->signature);
    *seal = (struct trust_seal){0};
}

void trust_report_missing(const struct trust *trust, struct config_diagnostics *diagnostics)
{
    size_t count = 0;
    const struct trust_locked *items = trust->lock != NULL ? trust_lock_items(trust->lock, &count) : NULL;

    for (size_t i = 0; i < count; i++)
        if (!trust->is_met[i])
            config_diagnostics_add(diagnostics, CONFIG_WARNING, &items[i].mark,
                                   "%s %s is locked but was not found (%s)",
                                   items[i].module != NULL ? items[i].module : "library",
                                   items[i].module != NULL ? items[i].version : items[i].file, items[i].file);
}
