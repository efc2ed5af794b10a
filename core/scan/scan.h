/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the files in plugin directories that may be trusted and hands on their bytes. Loads nothing. */
#ifndef CORE_SCAN_SCAN_H
#define CORE_SCAN_SCAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include <berth/error.h>

/**
 * Content that counts instead of what a file has now, or instead of a file that is not there: what it had
 * before, kept open.
 */
struct scan_pin {
    /** A real path. */
    const char *path;
    /** Stays open while directories are scanned; -1: the path counts as empty, because `instead` is used. */
    int fd;
    const char *instead;
    /** Of the descriptor when it was opened: it still has that content, or the pin does not count. */
    struct stat opened;
    /** What the file was when its content was checked first; becomes the status of the scan's file. */
    struct stat status;
    /** The version that is held back, "1.1.0"; NULL: there is no file, or its version is not known. */
    const char *held_back;
    /** The signature that lay beside it, which may be another one's by now; NULL: none. */
    const char *signature;
    /** Why it was not used, one line that begins with the path, malloced; NULL: it was, or no directory has
     * the path. Set by the scan. */
    char *objection;
};

/** One file that was found. */
struct scan_file {
    /** The real path: absolute, without symlinks; of a rejected file perhaps the path it was found at. */
    char *path;
    /** The path for people and wires: one line of UTF-8, whatever the file is called. */
    char *shown;
    /** The fstat result when the bytes were read; for verify_same. */
    struct stat status;
    enum berth_code code;
    /** Why it is rejected, one line that begins with the path, malloced; NULL if it is not. */
    char *reason;
    /** Its content is that of a pin, and which version is held back by it: "" if that is not known. Malloced;
     * NULL: what it has is used. */
    char *held_back;
    /** That pin, for the reader; NULL afterwards. */
    const struct scan_pin *pin;
};

/** A directory that was rejected. */
struct scan_rejection {
    /** Its place among those that were given. */
    size_t directory;
    /** It does not exist. Otherwise it is not trusted or cannot be read. */
    bool is_missing;
    /** One line that begins with the path, malloced. */
    char *reason;
};

struct scan {
    /** In the order of the directories, names sorted by bytes within each. */
    struct scan_file *files;
    size_t count;
    /** In the order of the directories. */
    struct scan_rejection *rejections;
    size_t rejection_count;
    /** One line each, malloced: a file or directory given twice, and what the reader adds. */
    char **warnings;
    size_t warning_count;
};

/** Is handed each trusted file with its bytes, which are gone afterwards. */
struct scan_reader {
    /**
     * Reads what depends on this file alone. Called from several threads at once, in any order.
     *
     * @return for one of the other two; never NULL.
     */
    void *(*read)(void *context, const struct scan_file *file, const void *bytes, size_t length);
    /**
     * Takes up what was read: on the thread of scan_directories, in the order of the files, with the same
     * bytes.
     *
     * @param found       of `read`; owned.
     * @param ret_reason  one line that begins with the path, malloced.
     * @return BERTH_OK, or why the file is rejected.
     */
    enum berth_code (*take)(void *context, const struct scan_file *file, const void *bytes, size_t length,
                            void *found, char **ret_reason);
    /** Frees what was read of a file that is not used after all. */
    void (*drop)(void *found);
    void *context;
};

struct scan_rules {
    /** Files and folders that somebody else could have written are rejected. */
    bool needs_owner;
    /** Borrowed for the length of the call. Where a pin cannot be used, what the file has now is. */
    struct scan_pin *pins;
    size_t pin_count;
    /** Once it is set, nothing more is read, and what the scan has is not all there is. May be NULL. */
    const atomic_bool *is_cancelled;
};

/** Larger files are rejected: bytes are copied, so that nobody can truncate or change them while they are
 * read. */
#define SCAN_FILE_MAX ((size_t)256 << 20)

/**
 * Scans directories for files whose names end in ".so". A bad file costs that file only, a bad directory that
 * directory only. The same directories give the same scan, however many threads have read it. Aborts without
 * memory.
 */
void scan_directories(const char *const *directories, size_t count, const struct scan_rules *rules,
                      const struct scan_reader *reader, struct scan *ret_scan);
/** Adds a warning, made one line of UTF-8. */
BERTH_PRINTF(2, 3)
void scan_warn(struct scan *scan, const char *format, ...);
void scan_finish(struct scan *scan);

/*
 * Trust: nobody but root and ourselves could have written a file or put it in its place (<berth/trust.h>).
 */

/**
 * Opens a file of a verified directory: regular, owned by root or us, writable by nobody else, not reached
 * through a symlink that leads out of the directory.
 *
 * @param needs_owner  otherwise owner and mode do not matter.
 * @param ret_path    its real path, malloced.
 * @param ret_status  of the open descriptor.
 * @return BERTH_OK and an open descriptor; BERTH_PERMISSION_DENIED; BERTH_NOT_FOUND; BERTH_INVALID_ARGUMENT.
 */
enum berth_code verify_open(const char *directory, const char *name, bool needs_owner, int *ret_fd,
                            char **ret_path, struct stat *ret_status, struct berth_error *err);

/**
 * May something be loaded by this path, now and later? Each folder on the way, behind each symlink too, and
 * the target itself must be owned by root or us and writable by nobody else. A missing file is fine: nobody
 * else can create it.
 *
 * @param path  absolute; need not be a real path.
 */
enum berth_code verify_way(const char *path, struct berth_error *err);

/**
 * Does a path avoid symlinks of other users, wherever they can create some? A stranger chooses where his
 * symlink in /tmp leads.
 */
enum berth_code verify_links(const char *path, struct berth_error *err);

/** Is it one file, with one content as far as can be told without reading it? It may have been moved, linked
 * or given other modes in between. */
bool verify_is_same_content(const struct stat *before, const struct stat *after);
/** Was nothing at all done to it in between? */
bool verify_is_untouched(const struct stat *before, const struct stat *after);
/** Is the file at the path still the one that was checked? The path is a real one. */
enum berth_code verify_same(const char *path, const struct stat *status, struct berth_error *err);
/** The same for a path that may lead through symlinks. */
enum berth_code verify_same_behind(const char *path, const struct stat *status, struct berth_error *err);
/** The same for an open descriptor; the path is for messages. */
enum berth_code verify_same_open(int fd, const char *path, const struct stat *status,
                                 struct berth_error *err);

#endif
