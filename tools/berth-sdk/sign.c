/* SPDX-License-Identifier: Apache-2.0 */
/* berth-sdk sign and keygen: signatures of built modules, and the keys for them, as minisign's. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/signature.h>

#include <core/elf/elf.h>
#include <core/manifest/manifest.h>
#include <core/scan/scan.h>
#include <core/trust/trust.h>
#include <sdk/base/memory.h>
#include <sdk/base/text_file.h>

#include "command.h"
#include "password.h"

static int fail(const struct berth_error *err)
{
    fprintf(stderr, "berth-sdk: %s\n", err->message);
    return EXIT_BAD;
}

static enum berth_code open_key(const struct command_options *options, struct berth_secret_key *ret_key,
                                struct berth_error *err)
{
    const char *path = cli_value(options->line, "key");
    char password[PASSWORD_MAX] = "", *text, *prompt;
    struct berth_sealed_key sealed;
    struct berth_error reason;
    size_t length;
    enum berth_code code = text_file_read(path, BERTH_SIGNATURE_FILE_MAX, &text, &length, err);

    if (code != BERTH_OK)
        return code;
    code = berth_sealed_key_parse(text, length, &sealed, &reason);
    berth_secret_wipe(text, length);
    free(text);
    if (code != BERTH_OK)
        return berth_error_set(err, code, "%s: not a minisign secret key: %s", path, reason.message);
    prompt = memory_format("Password for %s: ", path);
    if (sealed.is_encrypted)
        code = password_read(prompt, cli_value(options->line, "password-file"), password, &reason);
    if (code == BERTH_OK)
        code = berth_sealed_key_open(&sealed, password, ret_key, &reason);
    free(prompt);
    berth_secret_wipe(password, sizeof(password));
    berth_secret_wipe(&sealed, sizeof(sealed));
    return code == BERTH_OK ? code : berth_error_set(err, code, "%s: %s", path, reason.message);
}

/* What a module's signature says; of another file its name, as minisign does. Malloced. */
static enum berth_code make_comment(const char *path, const char *bytes, size_t length, char **ret_comment,
                                    struct berth_error *err)
{
    struct config_diagnostics diagnostics = {.forgives_unknown = true};
    const char *slash = strrchr(path, '/');
    struct manifest *manifest;
    size_t text_length;
    char *text;
    enum berth_code code = note_find(bytes, length, path, &text, &text_length, err);

    if (code != BERTH_OK) {
        *ret_comment = memory_format("file:%s", slash != NULL ? slash + 1 : path);
        return BERTH_OK;
    }
    manifest = manifest_parse(path, text, text_length, &diagnostics);
    free(text);
    if (manifest == NULL)
        code = berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: invalid manifest; run berth-sdk check on it",
                               path);
    else if (strpbrk(manifest->module, " \t") != NULL || strpbrk(manifest->version, " \t") != NULL)
        code =
            berth_error_set(err, BERTH_INVALID_ARGUMENT,
                            "%s: module and version of its manifest may have no blanks in a signature: give "
                            "--comment",
                            path);
    else
        *ret_comment = trust_format_comment(manifest->module, manifest->version);
    manifest_destroy(manifest);
    config_diagnostics_finish(&diagnostics);
    return code;
}

static enum berth_code write_signature(const char *path, const struct berth_secret_key *key,
                                       const char *bytes, size_t length, const char *comment,
                                       struct berth_error *err)
{
    struct berth_signature *signature = memory_allocate(1, sizeof(*signature));
    char *to = memory_format("%s" BERTH_SIGNATURE_SUFFIX, path), id[BERTH_KEY_ID_TEXT];
    enum berth_code code = berth_signature_make(key, bytes, length, comment, signature, err);

    if (code == BERTH_OK) {
        char *text = memory_or_abort(berth_signature_format(signature, "signature by berth-sdk"));

        code = text_file_write(to, text, err);
        free(text);
    }
    if (code == BERTH_OK) {
        berth_key_id_format(key->id, id);
        printf("%s: signed by %s: %s\n", to, id, comment);
    }
    free(to);
    free(signature);
    return code;
}

static enum berth_code sign_file(const char *path, const struct berth_secret_key *key, const char *given,
                                 struct berth_error *err)
{
    char *bytes, *comment = NULL;
    size_t length;
    enum berth_code code = text_file_read(path, SCAN_FILE_MAX, &bytes, &length, err);

    if (code != BERTH_OK)
        return code;
    if (given != NULL)
        comment = memory_copy(given);
    else
        code = make_comment(path, bytes, length, &comment, err);
    if (code == BERTH_OK)
        code = write_signature(path, key, bytes, length, comment, err);
    free(comment);
    free(bytes);
    return code;
}

int command_sign(const struct command_options *options)
{
    const char *comment = cli_value(options->line, "comment");
    struct berth_secret_key key;
    struct berth_error err;
    int code = EXIT_FINE;

    if (cli_value(options->line, "key") == NULL)
        return cli_refuse(options->line, "--key is missing; name the secret key to sign with");
    if (open_key(options, &key, &err) != BERTH_OK)
        return fail(&err);
    for (size_t i = 0; i < options->line->word_count; i++)
        if (sign_file(options->line->words[i], &key, comment, &err) != BERTH_OK)
            code = fail(&err);
    berth_secret_wipe(&key, sizeof(key));
    return code;
}

static enum berth_code choose_password(const struct command_options *options, const char *path,
                                       char ret_password[PASSWORD_MAX], struct berth_error *err)
{
    const char *file = cli_value(options->line, "password-file");
    char again[PASSWORD_MAX], *prompt = memory_format("Password for %s: ", path);
    enum berth_code code = password_read(prompt, file, ret_password, err);

    if (code == BERTH_OK && file == NULL) {
        code = password_read("Repeat the password: ", NULL, again, err);
        if (code == BERTH_OK && strcmp(ret_password, again) != 0)
            code = berth_error_set(err, BERTH_INVALID_ARGUMENT, "the two passwords differ");
        berth_secret_wipe(again, sizeof(again));
    }
    free(prompt);
    if (code == BERTH_OK && ret_password[0] == '\0')
        code = berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "the password is empty; for a key without password, use --no-password");
    return code;
}

static enum berth_code write_pair(const char *secret_path, const char *public_path, const char *password,
                                  struct berth_error *err)
{
    struct berth_secret_key key;
    struct berth_public_key public_key;
    struct berth_sealed_key sealed;
    char id[BERTH_KEY_ID_TEXT];
    enum berth_code code = berth_secret_key_generate(&key, &public_key, err);

    if (code == BERTH_OK)
        code = berth_sealed_key_seal(&key, password, &sealed, err);
    if (code == BERTH_OK) {
        char *secret = memory_or_abort(berth_sealed_key_format(&sealed));
        char *open = memory_or_abort(berth_public_key_format(&public_key));

        code = text_file_create(secret_path, 0600, secret, err);
        if (code == BERTH_OK) {
            code = text_file_create(public_path, 0644, open, err);
            if (code != BERTH_OK)
                unlink(secret_path);
        }
        berth_secret_wipe(secret, strlen(secret));
        free(secret);
        free(open);
    }
    if (code == BERTH_OK) {
        berth_key_id_format(public_key.id, id);
        printf(
            "key %s\n%s: secret key; keep it private\n%s: public key; operators list it under trust.keys\n",
            id, secret_path, public_path);
    }
    berth_secret_wipe(&key, sizeof(key));
    berth_secret_wipe(&sealed, sizeof(sealed));
    return code;
}

int command_keygen(const struct command_options *options)
{
    const char *name = options->line->words[0];
    char *secret_path = memory_format("%s.key", name), *public_path = memory_format("%s.pub", name);
    bool has_password = !cli_has(options->line, "no-password");
    char password[PASSWORD_MAX];
    struct berth_error err;
    enum berth_code code = BERTH_OK;

    if (has_password)
        code = choose_password(options, secret_path, password, &err);
    if (code == BERTH_OK)
        code = write_pair(secret_path, public_path, has_password ? password : NULL, &err);
    berth_secret_wipe(password, sizeof(password));
    free(secret_path);
    free(public_path);
    return code == BERTH_OK ? EXIT_FINE : fail(&err);
}
