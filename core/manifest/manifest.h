/* SPDX-License-Identifier: Apache-2.0 */
/* What a module says about itself, read from the YAML of its note without running any of its code. */
#ifndef CORE_MANIFEST_MANIFEST_H
#define CORE_MANIFEST_MANIFEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <berth/call.h>
#include <berth/error.h>
#include <berth/settings.h>
#include <config/schema/schema.h>
#include <config/tree/tree.h>
#include <core/elf/elf.h>
#include <sdk/base/arena.h>

struct berth_module;
struct trust;
struct scan;
struct scan_file;
struct scan_pin;

struct manifest_method {
    const char *name;
    enum berth_method_kind kind;
};

struct manifest_service {
    const char *name;
    const struct manifest_method *methods;
    size_t method_count;
    /** Which may carry it, as the manifest names them; "grpc" alone where it does not. To the router NULL:
     * all.
     */
    const char *const *transports;
    size_t transport_count;
};

/** A type, a URI or "*", and its place in the note. */
struct manifest_requirement {
    const char *name;
    struct config_mark mark;
};

/**
 * A setting that has another name or meaning in an older version of the section. Both are dotted paths, in
 * which `*` means every key of a map; it occurs equally often in both, in the same order.
 */
struct manifest_rename {
    /** The rename applies to sections written for a version below this one. */
    uint32_t before_version;
    const char *from;
    /** NULL if the plugin's `migrate` takes care of it. */
    const char *to;
    /** The value becomes a list with this one item. */
    bool is_wrapped;
};

/** What a plugin does beside init, named under `callbacks`: for `berth-sdk generate`. */
enum manifest_callback {
    MANIFEST_CALLBACK_PREPARE = 1 << 0,
    MANIFEST_CALLBACK_DISCARD = 1 << 1,
    MANIFEST_CALLBACK_SERVE = 1 << 2,
    MANIFEST_CALLBACK_DRAIN = 1 << 3,
    MANIFEST_CALLBACK_CLOSE = 1 << 4,
    MANIFEST_CALLBACK_MIGRATE = 1 << 5,
    MANIFEST_CALLBACK_CHECK = 1 << 6,
    MANIFEST_CALLBACK_RECONFIGURE = 1 << 7,
    MANIFEST_CALLBACK_SAVE_STATE = 1 << 8,
    MANIFEST_CALLBACK_LOAD_STATE = 1 << 9,
};

/** What a plugin uses of the daemon beside its own calls, named under `uses`: none of it reaches a worker. */
enum manifest_uses {
    /** Other routes than its own. */
    MANIFEST_USES_ROUTER = 1 << 0,
    /** Other plugins, in struct berth_inspect; what is said there of the daemon itself does reach a worker.
     */
    MANIFEST_USES_INSPECT = 1 << 1,
    MANIFEST_USES_INTERCEPT = 1 << 2,
};

/** How a plugin's next generation takes over. The strictest comes first, and is the default. */
enum manifest_upgrade {
    /** The old one is closed before the new one is created: two never live at once. */
    MANIFEST_UPGRADE_EXCLUSIVE,
    /** The new one is created first; calls wait while the old one drains and hands its state over. */
    MANIFEST_UPGRADE_HANDOVER,
    /** Both run until the last call of the old one has ended. Nothing waits. */
    MANIFEST_UPGRADE_BESIDE,
};

/** "exclusive", as in the manifest. */
const char *manifest_upgrade_name(enum manifest_upgrade mode);

/** When a plugin wishes to start, unless the configuration decides otherwise. */
enum manifest_activate {
    /** It leaves that to activation.default. */
    MANIFEST_ACTIVATE_ANY,
    /** With the daemon. */
    MANIFEST_ACTIVATE_START,
    /** When it is called first. */
    MANIFEST_ACTIVATE_CALL,
};

/** Versions of the state that one generation hands to the next. */
struct manifest_state {
    /** 0: it hands nothing over. */
    uint32_t writes;
    /** `writes` among them. */
    const uint32_t *reads;
    size_t read_count;
};

struct manifest;

/** The method that stands for every method of a service; see struct berth_service. */
#define MANIFEST_ANY "*"

/** A type of the plugins that a section declares, by a word of its own, and what such plugins usually export.
 */
struct manifest_made_type {
    const char *word;
    const char *type;
    const struct manifest_service *services;
    size_t service_count;
};

/** How the entries of a section of the configuration become plugins. */
struct manifest_maker {
    /** "proxy_plugins" */
    const char *section;
    const struct manifest_made_type *types;
    size_t type_count;
    struct berth_arena arena;
};

struct manifest_plugin {
    const struct manifest *manifest;
    const char *type;
    const char *id;
    /** type "." id */
    const char *uri;
    const char *description;
    const struct manifest_requirement *requirements;
    size_t requirement_count;
    const struct manifest_requirement *wants;
    size_t want_count;
    const struct manifest_service *services;
    size_t service_count;
    /** An object; never NULL, perhaps without fields. */
    const struct schema *config;
    /** The version of the section that `config` describes, from 1. */
    uint32_t config_version;
    const struct manifest_rename *renames;
    size_t rename_count;
    /** Names that the section had before, or of sections that it was part of: words or URIs; the newest
     * first. */
    const char *const *formerly;
    size_t formerly_count;
    /** Settings that a section under a former name had in another sense: they are not this plugin's. */
    const char *const *leaves;
    size_t leave_count;
    /** The URIs of plugins of other modules that may take settings out of this section. */
    const char *const *gives_to;
    size_t gives_to_count;
    /** `migrate` is only needed by sections that hold a setting listed in `renames` without `to`. */
    bool migrates_listed;
    /** Bits of enum manifest_callback. */
    uint32_t callbacks;
    /** The tag of the C struct that it offers to others ("berth_store"), or NULL: for the generator. */
    const char *interface;
    /** Interfaces, its own or another's, that its module can use across processes; see berth/remote.h. */
    const char *const *remotes;
    size_t remote_count;
    /**
     * Settings, and environment variables behind "env:": unless all of them are set the plugin is skipped. Of
     * "env:A|B" one is enough.
     */
    const char *const *skip_unless;
    size_t skip_unless_count;
    /** The transports that it carries calls over, where it is a server that says so. */
    const char *const *carries;
    size_t carry_count;
    enum manifest_upgrade upgrade;
    enum manifest_activate activate;
    /** Where it answers HTTP requests, so that these can start it; NULL: not said. */
    const char *http_prefix;
    /** Bits of enum manifest_uses. */
    uint32_t uses;
    struct manifest_state state;
    /** The .proto files in which its services stand, as protoc is given them: for the generator. */
    const char *const *protos;
    size_t proto_count;
    /**
     * It is no plugin itself: the entries of a section are, each with its table and its schema. NULL for all
     * others.
     */
    struct manifest_maker *makes;
    /** Of such an entry; else NULL. Its type, id, requirements and services come from the configuration. */
    const struct manifest_plugin *made_by;
    struct config_mark mark;
};

/** A library that was verified with a module that brings it along: the same file has to be loaded. */
struct manifest_library {
    /** As the loader finds it, malloced. */
    char *path;
    struct stat status;
};

/** The plugin whose table in the module this one has. */
static inline const struct manifest_plugin *manifest_tabled(const struct manifest_plugin *plugin)
{
    return plugin->made_by != NULL ? plugin->made_by : plugin;
}

struct manifest {
    /** Where the text came from; marks in messages name it. */
    const char *path;
    const char *module;
    const char *version;
    const char *description;
    const char *author;
    const char *licence;
    struct manifest_plugin *plugins;
    size_t plugin_count;
    /** FNV-1a, 64 bits, of the text. */
    uint64_t hash;
    /**
     * Why nothing of the module can run although its manifest is valid, such as a problem with its libraries.
     * Malloced, or NULL; set by whoever finds it.
     */
    char *objection;
    enum berth_code objection_code;
    /** Where it was found; NULL if nobody scanned. */
    const struct scan_file *file;
    /** The key that signed the file, NULL if it is unsigned; whether that was verified, and what the signer
     * says. These and the file's SHA-256, if anybody needs it, are malloced. */
    char *signer;
    bool is_verified;
    char *signer_comment;
    char *sha256;
    /** The text of the signature beside it, malloced; NULL if there was none. */
    char *signature;
    struct manifest_library *libraries;
    size_t library_count;
    /** One sentence on a library that it may get in place of its own, as another file has the same name.
     * Malloced, or NULL. */
    char *conflict;
    /** What of it may stay in memory after an upgrade; empty if nobody scanned. */
    struct residence residence;
};

/**
 * Parses a manifest. Strict: a malformed type, id, name or schema is an error with its place. So is an
 * unknown key or callback, unless `diagnostics` forgives it: a newer berth-sdk may have written it. What must
 * be understood stands under `needs`.
 *
 * @param path  the file the text was found in; copied.
 * @return to be destroyed, or NULL with errors in `diagnostics`.
 */
struct manifest *manifest_parse(const char *path, const char *text, size_t length,
                                struct config_diagnostics *diagnostics);
/**
 * Parses plugin.yaml, in which YAML anchors, aliases and merge keys (<<) may save repetition. As
 * manifest_parse otherwise; marks name places in `text`.
 *
 * @param ret_note  what goes into the note, to be freed: `text` itself, or where it has anchors the same
 *                  without them, as hosts refuse them in a note.
 */
struct manifest *manifest_parse_source(const char *path, const char *text, size_t length,
                                       struct config_diagnostics *diagnostics, char **ret_note);
void manifest_destroy(struct manifest *manifest);
/** Are the libraries that were verified with the module still the same files? Asked before they are loaded.
 */
enum berth_code manifest_verify_libraries(const struct manifest *manifest, struct berth_error *err);
/** Settings have been checked: see schema_forget_patterns. */
void manifest_forget_patterns(struct manifest *manifest);

/** Can it take over the state that `from` writes? True if there is none. */
bool manifest_reads_state(const struct manifest_plugin *to, const struct manifest_plugin *from);

/** Before the name of an environment variable under skip_unless, or before several and between them. */
#define MANIFEST_ENV "env:"
#define MANIFEST_ENV_OR "|"

/**
 * The first condition under the plugin's skip_unless that is not met; NULL if it need not be skipped.
 * Unset are settings that are absent, empty or false; variables that are absent or empty.
 */
const char *manifest_find_unset(const struct manifest_plugin *plugin, const struct berth_settings *settings);
/** Words that, as the reason of a skip. */
void manifest_explain_unset(const char *condition, struct berth_error *ret_sentence);

/** Why it cannot run in a process of its own, whatever else runs: "is a server, …"; NULL: nothing here
 * forbids it. */
const char *manifest_find_obstacle(const struct manifest_plugin *plugin);

/** Do plugins in processes of their own have the interface of this one, which runs in the daemon? See
 * core/crossing. */
bool manifest_interface_crosses(const struct manifest_plugin *plugin);
/** Does it answer HTTP requests? They reach it in a process of its own too, below its http_prefix. */
bool manifest_serves_http(const struct manifest_plugin *plugin);
/** Does the plugin list an interface under `remote`? */
bool manifest_has_remote(const struct manifest_plugin *plugin, const char *interface);

uint64_t manifest_hash(const char *text, size_t length);

/**
 * Is it `<reverse DNS>.v<N>`, of two labels or more before the version and at most 128 bytes; an id
 * `[A-Za-z0-9_-]+` of at most 76 bytes? No label of a type but its last looks like a version, so that a
 * type is never a URI too.
 */
bool manifest_type_is_valid(const char *type);
bool manifest_id_is_valid(const char *id);

/**
 * Splits a URI behind its `vN` label. @return false if it is not one; a bare type is not.
 * @param ret_type_length  bytes of `uri` that are its type; the id stands behind the dot that follows.
 */
bool manifest_uri_split(const char *uri, size_t *ret_type_length);

/** A plugin that is not used because another module comes first. */
struct catalog_loser {
    const struct manifest_plugin *plugin;
    /** The plugin that is used instead; where only its module is replaced, one of the other copy's. */
    const struct manifest_plugin *winner;
    /** One sentence. */
    char *reason;
    /** How many lost before it. */
    size_t place;
};

/** A library that comes with modules rather than with the system. */
struct catalog_library {
    /** Real and absolute. */
    char *path;
    /** As in struct manifest. */
    char *signer, *sha256;
    enum berth_code code;
    /** Why it may not be loaded, or NULL. */
    char *objection;
};

/**
 * All plugins that the modules register, each URI once: the one decision on which of several modules provides
 * it. The configuration is checked against this list, and the plan is made of it.
 */
struct catalog {
    /** In the order of the search; of catalog_read. */
    struct manifest **manifests;
    size_t manifest_count;
    /** By URI, each URI once. */
    const struct manifest_plugin **plugins;
    size_t count;
    /** By URI, those of one URI in the order in which they were found. */
    struct catalog_loser *losers;
    size_t loser_count;
    /** Libraries beside modules, and those that modules bring along, if `trust` has to see them. */
    struct catalog_library *libraries;
    size_t library_count;
    /** Those with `makes`, of which none is among `plugins`. */
    const struct manifest_plugin **makers;
    size_t maker_count;
    /** The plugins of catalog_make. */
    struct berth_arena arena;
};

/** For a daemon that runs already: what stands in for files. */
struct catalog_fallback {
    /**
     * For a file that is rejected; may be NULL.
     * @return borrowed for as long as the catalog lives; NULL: nothing, and the file is only rejected.
     */
    const struct manifest *(*find)(void *context, const struct scan_file *file);
    void *context;
    /** Files whose earlier content counts instead; borrowed for the length of the call. */
    struct scan_pin *pins;
    size_t pin_count;
    /** Once it is set, nothing more is read, and what was found is not all there is. May be NULL. */
    const atomic_bool *is_cancelled;
};

/**
 * Scans plugin directories and reads the manifest of each file: a module that is not trusted, without one,
 * with a bad one or of another machine is rejected in `ret_scan`, and what only keeps it from being loaded is
 * its objection. Then as catalog_init. Aborts without memory.
 *
 * @param trust     NULL: only owner and mode matter.
 * @param fallback  may be NULL.
 * @param ret_scan  outlives the catalog.
 */
void catalog_read(const char *const *directories, size_t count, struct trust *trust,
                  const struct catalog_fallback *fallback, struct scan *ret_scan,
                  struct catalog *ret_catalog);
/** Says in the scan which pins were not used, and why. */
void catalog_warn_of_pins(struct scan *scan, const struct scan_pin *pins, size_t count);
/**
 * Decides who wins, as a shell does with PATH: of two plugins with one URI the one whose module comes first.
 * Two modules of the same name with a URI in common are two versions of one module: the later one is not used
 * at all, so that plugins of two versions never meet. Of a module with another name the other plugins run.
 *
 * @param manifests  in the order of the search: directories as in plugin_dirs, file names sorted within each.
 *                   Borrowed for as long as the catalog lives.
 */
void catalog_init(struct catalog *catalog, const struct manifest *const *manifests, size_t count);
/**
 * Adds the plugins that a section of the configuration declares, by their ids.
 *
 * @param section         its name: the manifest of a module says what becomes of it.
 * @param map             read here only; NULL: there is none.
 * @param files_rejected  some files were rejected, so that one of them may be the module.
 * @return with errors in `diagnostics` for entries that become no plugin.
 */
void catalog_make(struct catalog *catalog, const char *section, const struct config_node *map,
                  bool files_rejected, struct config_diagnostics *diagnostics);
void catalog_finish(struct catalog *catalog);

/** The plugin that is used under this URI, or NULL. */
const struct manifest_plugin *catalog_find(const struct catalog *catalog, const char *uri);
/** The first that is not used under this URI, or NULL. */
const struct catalog_loser *catalog_find_loser(const struct catalog *catalog, const char *uri);

/**
 * Compares a loaded module's constant and its tables with this host and with the manifest. Touches nothing
 * past each table's `size`.
 *
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION with what differs and both values.
 */
enum berth_code manifest_check(const struct berth_module *module, const struct manifest *manifest,
                               struct berth_error *err);

#endif
