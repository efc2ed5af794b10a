/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files of the plugin directories may run, beyond who owns them: signatures by known keys, versions
 * that are too old, what is revoked, and the lock file. Decides on the bytes of the open file, before anybody
 * reads them for anything else.
 */
#ifndef CORE_TRUST_TRUST_H
#define CORE_TRUST_TRUST_H

#include <stdbool.h>
#include <stddef.h>

#include <berth/error.h>
#include <config/text/diagnostics.h>

/** Where public keys are looked for if the configuration does not say. */
#define TRUST_DEFAULT_KEYS BERTH_SYSCONF_DIR "/berth/trusted/*.pub"

/** What a module needs in order to run. Each demands what stands above it. */
enum trust_require {
    /** Nothing: who owns files and folders, and who may write to them, does not matter. */
    TRUST_REQUIRE_NONE,
    /** Owned by root or the daemon's user and writable by nobody else, and so all folders on the way. */
    TRUST_REQUIRE_OWNER,
    /** And signed by a key of `keys`. */
    TRUST_REQUIRE_SIGNATURE,
};

/** A text of the configuration and its place. */
struct trust_text {
    const char *text;
    struct config_mark mark;
};

struct trust_minimum {
    const char *module;
    struct trust_text version;
};

/** What the configuration says. */
struct trust_options {
    enum trust_require require;
    struct config_mark require_mark;
    /** Absolute paths or patterns of public keys. */
    const struct trust_text *keys;
    size_t key_count;
    /** The lowest version of a module that may run. */
    const struct trust_minimum *minimums;
    size_t minimum_count;
    /** Ids of keys, and SHA-256 hashes of files. */
    const struct trust_text *revoked;
    size_t revoked_count;
    /** The lock file; no text: none. */
    struct trust_text lock;
    /** For tools: it does not matter who could have written the keys, and their paths may be relative. */
    bool keys_of_anybody;
    /** For whoever writes a lock file: hash every file, and leave the present lock file aside. */
    bool is_locking;
};

enum trust_state {
    TRUST_UNSIGNED,
    /** There is a signature, and no key is configured to verify it with. */
    TRUST_UNVERIFIED,
    TRUST_SIGNED,
};

/** What is known about a file. Zero-initialise. */
struct trust_seal {
    enum trust_state state;
    /** In 16 hexadecimal digits; NULL if unsigned. This and what follows is malloced. */
    char *key_id;
    /** The trusted comment as one line of UTF-8; NULL unless the signature was verified. */
    char *comment;
    /** The module and version that the comment names; NULL if it names none. */
    char *module, *version;
    /** In lower-case hexadecimal digits; NULL unless the signature was verified or somebody needs it. */
    char *sha256;
    /** The text of the signature file; NULL: there is none. */
    char *signature;
};

/** What the configuration demands, its keys and its lock file read. */
struct trust;

/**
 * Reads keys and lock file, each owned as a module must be. What is wrong is an error in `diagnostics` at the
 * place in the configuration.
 *
 * @param options  borrowed for as long as it lives.
 * @return never NULL, to be destroyed: after errors it demands what it could read.
 */
struct trust *trust_create(const struct trust_options *options, struct config_diagnostics *diagnostics);
void trust_destroy(struct trust *trust);

/** Do owner and mode of files and folders matter? */
bool trust_needs_owner(const struct trust *trust);
/** Does it have to see the libraries that modules bring along? */
bool trust_needs_libraries(const struct trust *trust);

/**
 * Decides on a file by its bytes and the signature beside it. Nobody has parsed the bytes yet. From any
 * thread, also several at once.
 *
 * @param path      real and absolute; messages begin with it.
 * @param ret_seal  to be finished; written in any case.
 * @return BERTH_OK; BERTH_PERMISSION_DENIED if it is unsigned, wrongly signed or revoked;
 * BERTH_INVALID_ARGUMENT for a malformed signature; BERTH_FAILED_PRECONDITION if the lock file has another or
 * none; BERTH_UNAVAILABLE if signatures cannot be verified here; the system's error.
 */
enum berth_code trust_check_file(struct trust *trust, const char *path, const void *bytes, size_t length,
                                 struct trust_seal *ret_seal, struct berth_error *err);
/**
 * The same for what a file was before.
 *
 * @param signature  the text of the signature that lay beside it then; NULL: none.
 */
enum berth_code trust_check_earlier(struct trust *trust, const char *path, const void *bytes, size_t length,
                                    const char *signature, struct trust_seal *ret_seal,
                                    struct berth_error *err);
/**
 * Decides on a module of that file once its manifest is known: what the trusted comment and the lock file
 * name, and the lowest version.
 *
 * @return BERTH_OK; BERTH_PERMISSION_DENIED; BERTH_FAILED_PRECONDITION.
 */
enum berth_code trust_check_module(struct trust *trust, const char *path, const struct trust_seal *seal,
                                   const char *module, const char *version, struct berth_error *err);
void trust_seal_finish(struct trust_seal *seal);

/** Warns of what the lock file lists and no file was checked for. */
void trust_report_missing(const struct trust *trust, struct config_diagnostics *diagnostics);

/**
 * Orders versions: numbers between dots, dashes and pluses as numbers, other parts as text. What follows a
 * dash comes before the version itself ("1.2.0-rc1" < "1.2.0"), and what follows a plus does not count.
 * @return below, equal to or above 0.
 */
int trust_compare_versions(const char *a, const char *b);

/** A comment as `berth-sdk sign` writes it: "berth module=hello version=1.2.0". Malloced. */
char *trust_format_comment(const char *module, const char *version);
/**
 * Reads one.
 * @param ret_module, ret_version  malloced; NULL if it names none. Also where the comment is not of that
 * form.
 * @return false if it names one of them twice.
 */
bool trust_parse_comment(const char *comment, char **ret_module, char **ret_version);

/*
 * The lock file: modules, and libraries that they bring along, by their hashes.
 */

#define TRUST_LOCK_MAX_BYTES ((size_t)4 << 20)

/** One file. */
struct trust_locked {
    /** NULL for a library. */
    const char *module, *version;
    /** Its name, without folders. */
    const char *file;
    const char *sha256;
    /** The id of the key; NULL: unsigned. Tells people, and is not compared. */
    const char *signer;
    struct config_mark mark;
};

struct trust_lock;

/** @return NULL with errors in `diagnostics`. */
struct trust_lock *trust_lock_parse(const char *path, const char *text, size_t length,
                                    struct config_diagnostics *diagnostics);
void trust_lock_destroy(struct trust_lock *lock);
/** All entries, in the file's order. */
const struct trust_locked *trust_lock_items(const struct trust_lock *lock, size_t *ret_count);
/** A lock file's text, malloced. The same files give the same bytes, in whatever order. */
char *trust_lock_format(const struct trust_locked *items, size_t count);

#endif
