/* SPDX-License-Identifier: Apache-2.0 */
#include <core/trust/trust.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/signature.h>

#include <tests/cmocka.h>

#include "scratch.h"

static const char bytes[] = "the bytes of a module";

struct pair {
    struct berth_secret_key secret;
    struct berth_public_key open;
    char id[BERTH_KEY_ID_TEXT];
};

static struct {
    char folder[PATH_MAX];
    /* Of trust.keys: two; and one that is not. */
    struct pair first, second, stranger;
} place;

static const char *below(const char *name)
{
    static char paths[4][PATH_MAX + 64];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", place.folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(below(name), "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(below(name), 0644), 0);
}

static void make_pair(struct pair *pair, const char *file)
{
    struct berth_error err;
    char *text;

    assert_int_equal(berth_secret_key_generate(&pair->secret, &pair->open, &err), BERTH_OK);
    berth_key_id_format(pair->open.id, pair->id);
    text = berth_public_key_format(&pair->open);
    write_file(file, text);
    free(text);
}

static void sign_as(const struct pair *pair, const char *content, const char *comment, const char *name)
{
    struct berth_signature *signature = calloc(1, sizeof(*signature));
    struct berth_error err;
    char *text;

    assert_int_equal(berth_signature_make(&pair->secret, content, strlen(content), comment, signature, &err),
                     BERTH_OK);
    text = berth_signature_format(signature, "of a test");
    write_file(name, text);
    free(text);
    free(signature);
}

static int set_up(void **state)
{
    umask(022);
    scratch_create(place.folder);
    make_pair(&place.first, "first.pub");
    make_pair(&place.second, "second.pub");
    make_pair(&place.stranger, "stranger.key");
    return 0;
}

static int tear_down(void **state)
{
    scratch_remove(place.folder);
    return 0;
}

static char pattern[PATH_MAX + 64];
static const struct trust_text keys = {pattern, {"berthd.yaml", 3, 9}};

/* Trust that knows the two keys and demands this. */
static struct trust_options demand(enum trust_require require)
{
    snprintf(pattern, sizeof(pattern), "%s/*.pub", place.folder);
    return (struct trust_options){
        .require = require, .require_mark = {"berthd.yaml", 2, 12}, .keys = &keys, .key_count = 1};
}

/* With a warning where nothing is required, and without complaints otherwise. */
static struct trust *create(const struct trust_options *options)
{
    struct config_diagnostics diagnostics = {0};
    struct trust *trust = trust_create(options, &diagnostics);

    if (diagnostics.count != (options->require == TRUST_REQUIRE_NONE))
        fail_msg("%s", diagnostics.count > 0 ? diagnostics.items[0].message : "no warning");
    config_diagnostics_finish(&diagnostics);
    return trust;
}

/* @return the code of the file "m.so", and of its module hello 1.2.0. */
static enum berth_code decide(const struct trust_options *options, struct berth_error *err)
{
    struct trust *trust = create(options);
    struct trust_seal seal;
    enum berth_code code = trust_check_file(trust, below("m.so"), bytes, strlen(bytes), &seal, err);

    if (code == BERTH_OK)
        code = trust_check_module(trust, below("m.so"), &seal, "hello", "1.2.0", err);
    if (code != BERTH_OK)
        assert_int_equal(strncmp(err->message, below("m.so"), strlen(below("m.so"))), 0);
    trust_seal_finish(&seal);
    trust_destroy(trust);
    return code;
}

static void assert_refused(const struct trust_options *options, enum berth_code code, const char *said)
{
    struct berth_error err = {""};
    enum berth_code found = decide(options, &err);

    if (found != code || strstr(err.message, said) == NULL)
        fail_msg("%s: \"%s\", expected %s: \"%s\"", berth_code_name(found), err.message,
                 berth_code_name(code), said);
}

static void assert_allowed(const struct trust_options *options)
{
    struct berth_error err = {""};

    if (decide(options, &err) != BERTH_OK)
        fail_msg("%s", err.message);
}

static void an_unsigned_file_is_refused_only_where_a_signature_is_required(void **state)
{
    struct trust_options none = demand(TRUST_REQUIRE_NONE), owner = demand(TRUST_REQUIRE_OWNER),
                         signature = demand(TRUST_REQUIRE_SIGNATURE);

    unlink(below("m.so.minisig"));
    assert_allowed(&none);
    assert_allowed(&owner);
    assert_refused(&signature, BERTH_PERMISSION_DENIED,
                   "not signed, but trust.require is signature (berthd.yaml:2:12): there is no ");
}

static void a_signed_file_is_allowed_and_its_signer_known(void **state)
{
    const struct pair *pairs[] = {&place.first, &place.second};
    struct trust_options options = demand(TRUST_REQUIRE_SIGNATURE);

    for (size_t i = 0; i < 2; i++) {
        struct trust *trust = create(&options);
        char sha256[BERTH_SHA256_TEXT];
        struct trust_seal seal;
        struct berth_error err;

        assert_int_equal(berth_sha256(bytes, strlen(bytes), sha256, &err), BERTH_OK);
        sign_as(pairs[i], bytes, "berth module=hello\tversion=1.2.0", "m.so.minisig");
        assert_int_equal(trust_check_file(trust, below("m.so"), bytes, strlen(bytes), &seal, &err), BERTH_OK);
        assert_int_equal(seal.state, TRUST_SIGNED);
        assert_string_equal(seal.key_id, pairs[i]->id);
        assert_string_equal(seal.comment, "berth module=hello version=1.2.0");
        assert_string_equal(seal.module, "hello");
        assert_string_equal(seal.version, "1.2.0");
        assert_string_equal(seal.sha256, sha256);
        trust_seal_finish(&seal);
        trust_destroy(trust);
        assert_allowed(&options);
    }
}

/* Whatever is required. */
static void a_wrong_signature_is_always_refused(void **state)
{
    for (int require = TRUST_REQUIRE_NONE; require <= TRUST_REQUIRE_SIGNATURE; require++) {
        struct trust_options options = demand((enum trust_require)require);

        sign_as(&place.first, "other bytes", "", "m.so.minisig");
        assert_refused(&options, BERTH_PERMISSION_DENIED, "the signature is not of this file");
        sign_as(&place.stranger, bytes, "", "m.so.minisig");
        assert_refused(&options, BERTH_PERMISSION_DENIED, "which is not among trust.keys");
        assert_refused(&options, BERTH_PERMISSION_DENIED, place.stranger.id);
        write_file("m.so.minisig", "untrusted comment: no signature\n");
        assert_refused(&options, BERTH_INVALID_ARGUMENT, "m.so.minisig: ends after line 1");
        write_file("m.so.minisig", "");
        assert_refused(&options, BERTH_INVALID_ARGUMENT, "its signature is malformed");
        unlink(below("m.so.minisig"));
        assert_int_equal(symlink("nothing", below("m.so.minisig")), 0);
        assert_refused(&options, BERTH_INVALID_ARGUMENT, "its signature cannot be read");
        unlink(below("m.so.minisig"));
        assert_int_equal(mkfifo(below("m.so.minisig"), 0600), 0);
        assert_refused(&options, BERTH_INVALID_ARGUMENT, "not a regular file");
        unlink(below("m.so.minisig"));
        assert_int_equal(mkdir(below("m.so.minisig"), 0700), 0);
        assert_refused(&options, BERTH_INVALID_ARGUMENT, "not a regular file");
        assert_int_equal(rmdir(below("m.so.minisig")), 0);
        write_file("m.so.minisig", "");
        assert_int_equal(truncate(below("m.so.minisig"), BERTH_SIGNATURE_FILE_MAX + 1), 0);
        assert_refused(&options, BERTH_INVALID_ARGUMENT, "too large");
    }
}

static void two_keys_of_one_id_are_both_tried(void **state)
{
    struct trust_options options = demand(TRUST_REQUIRE_SIGNATURE);
    struct pair twin = place.stranger;
    char *text;

    memcpy(twin.open.id, place.first.open.id, sizeof(twin.open.id));
    memcpy(twin.secret.id, place.first.open.id, sizeof(twin.secret.id));
    text = berth_public_key_format(&twin.open);
    write_file("a-twin.pub", text);
    free(text);
    sign_as(&place.first, bytes, "", "m.so.minisig");
    assert_allowed(&options);
    sign_as(&twin, bytes, "", "m.so.minisig");
    assert_allowed(&options);
    unlink(below("a-twin.pub"));
    assert_refused(&options, BERTH_PERMISSION_DENIED, "wrong signature");
}

static void without_keys_a_signature_is_shown_and_not_believed(void **state)
{
    struct trust_options options = demand(TRUST_REQUIRE_OWNER);
    struct trust *trust;
    struct trust_seal seal;
    struct berth_error err;

    options.key_count = 0;
    sign_as(&place.stranger, "other bytes", "berth module=evil version=9", "m.so.minisig");
    trust = create(&options);
    assert_int_equal(trust_check_file(trust, below("m.so"), bytes, strlen(bytes), &seal, &err), BERTH_OK);
    assert_int_equal(seal.state, TRUST_UNVERIFIED);
    assert_string_equal(seal.key_id, place.stranger.id);
    assert_null(seal.comment);
    assert_null(seal.module);
    trust_seal_finish(&seal);
    trust_destroy(trust);
    write_file("m.so.minisig", "nonsense\n");
    assert_refused(&options, BERTH_INVALID_ARGUMENT, "malformed");
}

static void the_comment_has_to_name_the_module_if_it_names_one(void **state)
{
    static const struct {
        const char *comment, *said;
    } cases[] = {
        {"berth module=hello version=1.2.0", NULL},
        {"berth version=1.2.0 built=today module=hello", NULL},
        {"timestamp:1700000000\tfile:m.so\thashed", NULL},
        {"", NULL},
        {"berths module=other", NULL},
        {"berth module=other version=1.2.0",
         "signed it as module \"other\", but its manifest has module \"hello\""},
        {"berth module=hello version=1.2.1",
         "signed it as version \"1.2.1\", but its manifest has version \"1.2.0\""},
        {"berth module=", "signed it as module \"\""},
        {"berth module=hello module=hello version=1.2.0", "names a module or version twice"},
        {"berth version=1 version=1.2.0", "names a module or version twice"},
    };
    struct trust_options options = demand(TRUST_REQUIRE_SIGNATURE);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_error err = {""};
        enum berth_code code;

        sign_as(&place.first, bytes, cases[i].comment, "m.so.minisig");
        code = decide(&options, &err);
        if (cases[i].said == NULL ? code != BERTH_OK
                                  : code == BERTH_OK || strstr(err.message, cases[i].said) == NULL)
            fail_msg("\"%s\": %s: %s", cases[i].comment, berth_code_name(code), err.message);
    }
}

static void what_is_revoked_is_refused_whatever_is_required(void **state)
{
    char sha256[BERTH_SHA256_TEXT];
    struct trust_text revoked = {.mark = {"berthd.yaml", 7, 5}};
    struct berth_error err;

    assert_int_equal(berth_sha256(bytes, strlen(bytes), sha256, &err), BERTH_OK);
    for (int require = TRUST_REQUIRE_NONE; require <= TRUST_REQUIRE_SIGNATURE; require++) {
        struct trust_options options = demand((enum trust_require)require);

        options.revoked = &revoked;
        options.revoked_count = 1;
        sign_as(&place.first, bytes, "", "m.so.minisig");
        revoked.text = place.first.id;
        assert_refused(&options, BERTH_PERMISSION_DENIED, "which is revoked at berthd.yaml:7:5");
        revoked.text = sha256;
        assert_refused(&options, BERTH_PERMISSION_DENIED, "this file is revoked at berthd.yaml:7:5");
        revoked.text = place.second.id;
        assert_allowed(&options);
    }
}

static void a_revoked_key_is_refused_without_any_key_too(void **state)
{
    struct trust_text revoked = {place.first.id, {"berthd.yaml", 7, 5}};
    struct trust_options options = demand(TRUST_REQUIRE_OWNER);

    options.key_count = 0;
    options.revoked = &revoked;
    options.revoked_count = 1;
    sign_as(&place.first, bytes, "", "m.so.minisig");
    assert_refused(&options, BERTH_PERMISSION_DENIED, "revoked");
}

static void versions_below_the_minimum_are_refused(void **state)
{
    struct trust_minimum minimum = {"hello", {"1.2.1", {"berthd.yaml", 5, 12}}};
    struct trust_options options = demand(TRUST_REQUIRE_OWNER);

    options.minimums = &minimum;
    options.minimum_count = 1;
    unlink(below("m.so.minisig"));
    assert_refused(
        &options, BERTH_FAILED_PRECONDITION,
        "module hello is version 1.2.0, below the minimum 1.2.1 of trust.minimum (berthd.yaml:5:12)");
    sign_as(&place.first, bytes, "berth module=hello version=1.2.0", "m.so.minisig");
    assert_refused(&options, BERTH_FAILED_PRECONDITION, "below the minimum");
    minimum.version.text = "1.2.0";
    assert_allowed(&options);
    minimum = (struct trust_minimum){"other", {"9", {"berthd.yaml", 5, 12}}};
    assert_allowed(&options);
}

static void versions_are_ordered_as_people_read_them(void **state)
{
    /* Each below the next. */
    static const char *const order[] = {
        "",        "0.9",    "1.0-alpha", "1.0-alpha.2", "1.0-alpha.10", "1.0-rc1",
        "1.0-rc2", "1.0",    "1.0.1",     "1.2.beta",    "1.2.0-rc1",    "1.2.0",
        "1.2.3",   "1.2.10", "1.10",      "2",           "10",           "184467440737095516160"};
    static const char *const same[][2] = {
        {"1.2", "1.2.0"}, {"1.2.0+build1", "1.2.0+build2"}, {"1.02", "1.2"}, {"1", "1.0.0"}};
    size_t count = sizeof(order) / sizeof(order[0]);

    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++) {
            int found = trust_compare_versions(order[i], order[k]);

            if ((found > 0) - (found < 0) != (i > k) - (i < k))
                fail_msg("%s and %s: %d", order[i], order[k], found);
        }
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        assert_int_equal(trust_compare_versions(same[i][0], same[i][1]), 0);
        assert_int_equal(trust_compare_versions(same[i][1], same[i][0]), 0);
    }
}

static void assert_complains(const struct trust_options *options, enum config_severity severity,
                             const char *said)
{
    struct config_diagnostics diagnostics = {0};
    struct trust *trust = trust_create(options, &diagnostics);
    char *line;

    assert_true(diagnostics.count > 0);
    line = config_diagnostic_format(&diagnostics.items[0]);
    if (diagnostics.items[0].severity != severity || strstr(line, said) == NULL)
        fail_msg("\"%s\", expected \"%s\"", line, said);
    free(line);
    trust_destroy(trust);
    config_diagnostics_finish(&diagnostics);
}

static void a_key_that_cannot_be_used_is_an_error_at_its_place(void **state)
{
    struct trust_options options = demand(TRUST_REQUIRE_OWNER);

    write_file("bad.pub", "untrusted comment: none\nAAAA\n");
    assert_complains(&options, CONFIG_ERROR, "berthd.yaml:3:9: trust.keys: ");
    assert_complains(&options, CONFIG_ERROR, "bad.pub: not a minisign public key: line 2: ");
    unlink(below("bad.pub"));
    assert_int_equal(chmod(below("first.pub"), 0666), 0);
    assert_complains(&options, CONFIG_ERROR, "first.pub: is not trusted: everybody may write to it");
    assert_int_equal(chmod(below("first.pub"), 0644), 0);
    snprintf(pattern, sizeof(pattern), "%s/gone.pub", place.folder);
    assert_complains(&options, CONFIG_ERROR, "gone.pub: cannot open it: No such file or directory");
    snprintf(pattern, sizeof(pattern), "%s/gone*.pub", place.folder);
    assert_complains(&options, CONFIG_WARNING, "matches no file");
    options.require = TRUST_REQUIRE_SIGNATURE;
    options.key_count = 0;
    assert_complains(&options, CONFIG_ERROR,
                     "berthd.yaml:2:12: trust.require is signature, but no public key is configured");
}

/* An error stops the daemon; whatever is asked until then is refused, not allowed. */
static void nothing_is_allowed_for_the_lack_of_a_key(void **state)
{
    struct config_diagnostics diagnostics = {0};
    struct trust_options options = demand(TRUST_REQUIRE_OWNER);
    struct trust *trust;
    struct trust_seal seal;
    struct berth_error err;

    snprintf(pattern, sizeof(pattern), "%s/gone.pub", place.folder);
    sign_as(&place.first, "other bytes", "", "m.so.minisig");
    trust = trust_create(&options, &diagnostics);
    assert_int_equal(trust_check_file(trust, below("m.so"), bytes, strlen(bytes), &seal, &err),
                     BERTH_PERMISSION_DENIED);
    trust_seal_finish(&seal);
    trust_destroy(trust);
    config_diagnostics_finish(&diagnostics);
}

static void what_is_revoked_has_to_be_an_id_or_a_hash(void **state)
{
    struct trust_text revoked = {"hello", {"berthd.yaml", 7, 5}};
    struct trust_options options = demand(TRUST_REQUIRE_OWNER);

    options.revoked = &revoked;
    options.revoked_count = 1;
    assert_complains(&options, CONFIG_ERROR, "berthd.yaml:7:5: trust.revoked: \"hello\" is neither a key id");
}

#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void a_lock_file_is_the_same_in_whatever_order_it_is_made(void **state)
{
    const struct trust_locked items[] = {
        {.module = "b: c", .version = "1.0", .file = "b.so", .sha256 = HASH_B, .signer = "67AFED32E2C8F0A1"},
        {.file = "libz.so.1", .sha256 = HASH_A},
        {.module = "a", .version = "1.0-rc1", .file = "a.so", .sha256 = HASH_A},
        {.module = "a", .version = "1.0-rc1", .file = "a.so", .sha256 = HASH_A},
    };
    const struct trust_locked other[] = {items[2], items[0], items[1]};
    struct config_diagnostics diagnostics = {0};
    char *text = trust_lock_format(items, 4), *again = trust_lock_format(other, 3);
    struct trust_lock *lock = trust_lock_parse("berth.lock", text, strlen(text), &diagnostics);
    const struct trust_locked *read;
    size_t count;

    assert_string_equal(text, again);
    assert_non_null(strstr(text,
                           "\nversion: 1\nmodules:\n  - module: a\n    version: 1.0-rc1\n    file: a.so\n"
                           "    sha256: " HASH_A "\n  - module: \"b: c\"\n"));
    assert_non_null(lock);
    read = trust_lock_items(lock, &count);
    assert_int_equal(count, 3);
    assert_string_equal(read[0].module, "a");
    assert_null(read[0].signer);
    assert_string_equal(read[1].module, "b: c");
    assert_string_equal(read[1].version, "1.0");
    assert_string_equal(read[1].signer, "67AFED32E2C8F0A1");
    assert_null(read[2].module);
    assert_string_equal(read[2].file, "libz.so.1");
    trust_lock_destroy(lock);
    free(text);
    free(again);
}

static void a_malformed_lock_file_is_refused_at_its_place(void **state)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"", "berth.lock"},
        {"modules: []\n", "version"},
        {"version: 2\n", "berth.lock:1:10"},
        {"# nothing\n", "berth.lock: is empty"},
        {"version: 1\nmodule: []\n", "berth.lock:2:1"},
        {"version: 1\nmodules:\n  - module: a\n    version: 1\n    file: a.so\n    sha256: abc\n",
         "berth.lock:6:13"},
        {"version: 1\nmodules:\n  - module: a\n    file: a.so\n    sha256: " HASH_A "\n", "version"},
        {"version: 1\nlibraries:\n  - file: a.so\n    sha256: [" HASH_A "]\n", "berth.lock:4:13"},
        {"version: 1\nmodules: &a [*a]\n", "berth.lock:2"},
        {"\x80", "berth.lock"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config_diagnostics diagnostics = {0};
        struct trust_lock *lock =
            trust_lock_parse("berth.lock", cases[i].text, strlen(cases[i].text), &diagnostics);
        char *line;

        assert_null(lock);
        assert_true(diagnostics.error_count > 0);
        line = config_diagnostic_format(&diagnostics.items[0]);
        if (strstr(line, cases[i].said) == NULL)
            fail_msg("case %zu: \"%s\", expected \"%s\"", i, line, cases[i].said);
        free(line);
        config_diagnostics_finish(&diagnostics);
    }
}

static void lock_as(const char *module, const char *version, const char *file, const char *content)
{
    char sha256[BERTH_SHA256_TEXT], *text;
    struct trust_locked item = {.module = module, .version = version, .file = file, .sha256 = sha256};
    struct berth_error err;

    assert_int_equal(berth_sha256(content, strlen(content), sha256, &err), BERTH_OK);
    text = trust_lock_format(&item, 1);
    write_file("berth.lock", text);
    free(text);
}

static void what_differs_from_the_lock_file_is_refused_with_what_differs(void **state)
{
    struct trust_options options = demand(TRUST_REQUIRE_OWNER);
    char path[PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s", below("berth.lock"));
    options.lock = (struct trust_text){path, {"berthd.yaml", 9, 7}};
    unlink(below("m.so.minisig"));
    lock_as("hello", "1.2.0", "m.so", bytes);
    assert_allowed(&options);
    lock_as("hello", "1.2.0", "another-name.so", bytes);
    assert_allowed(&options);
    lock_as("hello", "1.2.0", "m.so", "other bytes");
    assert_refused(&options, BERTH_FAILED_PRECONDITION, "berth.lock:5:5, which has hello 1.2.0 as SHA-256 ");
    lock_as("hello", "1.2.0", "n.so", "other bytes");
    assert_refused(&options, BERTH_FAILED_PRECONDITION, "not listed in ");
    lock_as("hello", "1.3.0", "m.so", bytes);
    assert_refused(&options, BERTH_FAILED_PRECONDITION,
                   "lists this file as hello 1.3.0, but its manifest has module hello 1.2.0");
    lock_as(NULL, NULL, "m.so", bytes);
    assert_refused(&options, BERTH_FAILED_PRECONDITION, "lists this file as a library");
    assert_int_equal(chmod(path, 0666), 0);
    assert_complains(&options, CONFIG_ERROR, "berthd.yaml:9:7: lock: ");
    unlink(path);
    assert_complains(&options, CONFIG_ERROR, "No such file or directory; review the plan, then write");
    /* Whoever writes a new one does not need the old one. */
    options.is_locking = true;
    assert_allowed(&options);
}

static void a_locked_module_that_is_gone_is_told(void **state)
{
    struct config_diagnostics diagnostics = {0};
    struct trust_options options = demand(TRUST_REQUIRE_OWNER);
    char path[PATH_MAX + 64];
    struct trust *trust;
    struct trust_seal seal;
    struct berth_error err;

    snprintf(path, sizeof(path), "%s", below("berth.lock"));
    options.lock = (struct trust_text){path, {"berthd.yaml", 9, 7}};
    lock_as("hello", "1.2.0", "m.so", bytes);
    trust = create(&options);
    trust_report_missing(trust, &diagnostics);
    assert_int_equal(diagnostics.count, 1);
    assert_string_equal(diagnostics.items[0].message, "hello 1.2.0 is locked but was not found (m.so)");
    config_diagnostics_finish(&diagnostics);
    assert_int_equal(trust_check_file(trust, below("m.so"), bytes, strlen(bytes), &seal, &err), BERTH_OK);
    trust_seal_finish(&seal);
    diagnostics = (struct config_diagnostics){0};
    trust_report_missing(trust, &diagnostics);
    assert_int_equal(diagnostics.count, 0);
    trust_destroy(trust);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unsigned_file_is_refused_only_where_a_signature_is_required),
        cmocka_unit_test(a_signed_file_is_allowed_and_its_signer_known),
        cmocka_unit_test(a_wrong_signature_is_always_refused),
        cmocka_unit_test(two_keys_of_one_id_are_both_tried),
        cmocka_unit_test(without_keys_a_signature_is_shown_and_not_believed),
        cmocka_unit_test(the_comment_has_to_name_the_module_if_it_names_one),
        cmocka_unit_test(what_is_revoked_is_refused_whatever_is_required),
        cmocka_unit_test(a_revoked_key_is_refused_without_any_key_too),
        cmocka_unit_test(versions_below_the_minimum_are_refused),
        cmocka_unit_test(versions_are_ordered_as_people_read_them),
        cmocka_unit_test(a_key_that_cannot_be_used_is_an_error_at_its_place),
        cmocka_unit_test(nothing_is_allowed_for_the_lack_of_a_key),
        cmocka_unit_test(what_is_revoked_has_to_be_an_id_or_a_hash),
        cmocka_unit_test(a_lock_file_is_the_same_in_whatever_order_it_is_made),
        cmocka_unit_test(a_malformed_lock_file_is_refused_at_its_place),
        cmocka_unit_test(what_differs_from_the_lock_file_is_refused_with_what_differs),
        cmocka_unit_test(a_locked_module_that_is_gone_is_told),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
