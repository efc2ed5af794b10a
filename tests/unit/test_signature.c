/* SPDX-License-Identifier: Apache-2.0 */
#include <berth/signature.h>

#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

/* What minisign 0.11 made of the seven bytes "message" with this key. */
static const char public_key[] = "untrusted comment: minisign public key F9486C54A4BA4E67\n"
                                 "RWRnTrqkVGxI+bS1e4suFuA5sniO0BF+PjIWracOw61bY7tUzNIvsf8/\n";
static const char secret_key[] = "untrusted comment: minisign encrypted secret key\n"
                                 "RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAZ06"
                                 "6pFRsSPnbyg3ku+CYi9jdW4OAwtPqNmUODCl9hQhQSfNeOyC6brS1e4suFuA5sniO0BF+"
                                 "PjIWracOw61bY7tUzNIvsf8/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
static const char of_hash[] =
    "untrusted comment: signature from minisign secret key\n"
    "RURnTrqkVGxI+ZIJ+2yeGN4LAX6V9ClWDQeSs28MKaZFSNFBFMQ2PdP/POYEqXgUzXAthzRsfP4JtzpzauiFlCAKFDPkesDrAgo=\n"
    "trusted comment: berth module=hello version=1.2.0\n"
    "o+Vsql4W37xzjUffkgN+o9usVPGspFlbtX+hyUGBdZ3ywm8P59/ySJywub67B+YdI3jCvwY1rasxsfMimQr3CQ==\n";
static const char of_file[] =
    "untrusted comment: signature from minisign secret key\n"
    "RWRnTrqkVGxI+Q9GOZ4O6Jr1HN+ANM2oFbU+lbD31LIxe3jRmFMgXK2hukrT24NIVqcRI1pVXHW16t+KIaPB8MhrE05kM6q2JQU=\n"
    "trusted comment: timestamp:1\tfile:m\n"
    "KVuDE/lwg1f1Ole9/r+V56RMTzt54Ik7jXUFXZB2hoHryxXTrDPSnaTWYs8mv42UKNkvtO7tUpxVOxuwkl60AA==\n";
/* The same with the password "secret", for which minisign would take 1 GiB and seconds: this takes 16 MiB. */
static const char encrypted_key[] = "untrusted comment: minisign encrypted secret key\n"
                                    "RWRTY0IyHPhqMiEUkurzU1DVlhfgqJBeAlx3VxjBjTLDZ6FAo1UAgAAAAAAAAAAAAAEAAAAA"
                                    "EaMkawYIYl6KKF7yTBWCmaOsdQkr5y5OzNVqrAvvsEEwi5ybBWKsOt5wFOAogmExcHHxEj1B"
                                    "6n6aYOAW++blV0PzYuPUJOyTYABPyBoDynpYnQZIICBfX4TP1vPQtclNSErPK9iA+5I=\n";

static const char message[] = "message";

static struct berth_public_key parse_public(void)
{
    struct berth_public_key key;
    struct berth_error err;

    assert_int_equal(berth_public_key_parse(public_key, strlen(public_key), &key, &err), BERTH_OK);
    return key;
}

static struct berth_signature parse_signature(const char *text)
{
    struct berth_signature signature;
    struct berth_error err;

    assert_int_equal(berth_signature_parse(text, strlen(text), &signature, &err), BERTH_OK);
    return signature;
}

static enum berth_code verify(const struct berth_signature *signature, const char *bytes)
{
    struct berth_public_key key = parse_public();
    struct berth_error err = {""};
    enum berth_code code = berth_signature_verify(signature, &key, bytes, strlen(bytes), &err);

    assert_true(code == BERTH_OK || err.message[0] != '\0');
    return code;
}

static void minisigns_signatures_are_read_and_verified(void **state)
{
    struct berth_signature hashed = parse_signature(of_hash), legacy = parse_signature(of_file);
    char id[BERTH_KEY_ID_TEXT];

    berth_key_id_format(hashed.key_id, id);
    assert_string_equal(id, "F9486C54A4BA4E67");
    assert_true(hashed.is_prehashed);
    assert_false(legacy.is_prehashed);
    assert_string_equal(hashed.comment, "berth module=hello version=1.2.0");
    assert_string_equal(legacy.comment, "timestamp:1\tfile:m");
    assert_int_equal(verify(&hashed, message), BERTH_OK);
    assert_int_equal(verify(&legacy, message), BERTH_OK);
}

static void another_file_is_refused(void **state)
{
    struct berth_signature hashed = parse_signature(of_hash), legacy = parse_signature(of_file);

    assert_int_equal(verify(&hashed, "massage"), BERTH_PERMISSION_DENIED);
    assert_int_equal(verify(&legacy, "massage"), BERTH_PERMISSION_DENIED);
    assert_int_equal(verify(&legacy, "message2"), BERTH_PERMISSION_DENIED);
    /* A signature of the one kind is none of the other. */
    hashed.is_prehashed = false;
    assert_int_equal(verify(&hashed, message), BERTH_PERMISSION_DENIED);
}

static void every_bit_of_a_signature_counts(void **state)
{
    for (size_t bit = 0; bit < 8 * BERTH_SIGNATURE_BYTES; bit++) {
        struct berth_signature first = parse_signature(of_hash), second = first;

        first.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(verify(&first, message), BERTH_PERMISSION_DENIED);
        second.global[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(verify(&second, message), BERTH_PERMISSION_DENIED);
    }
}

static void a_changed_comment_is_refused(void **state)
{
    struct berth_signature signature = parse_signature(of_hash);

    signature.comment[signature.comment_length - 1] = '1';
    assert_int_equal(verify(&signature, message), BERTH_PERMISSION_DENIED);
    signature = parse_signature(of_hash);
    signature.comment_length--;
    assert_int_equal(verify(&signature, message), BERTH_PERMISSION_DENIED);
    /* The comment of another signature by the same key. */
    signature = parse_signature(of_hash);
    memcpy(signature.global, parse_signature(of_file).global, sizeof(signature.global));
    assert_int_equal(verify(&signature, message), BERTH_PERMISSION_DENIED);
}

static char *replace(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    char *changed = NULL;

    assert_non_null(at);
    assert_true(asprintf(&changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) >= 0);
    return changed;
}

static void malformed_signatures_are_refused_with_their_line(void **state)
{
    static const struct {
        const char *from, *to, *said;
    } cases[] = {
        {"untrusted comment: ", "comment: ", "line 1: expected \"untrusted comment: …\""},
        {"RU", "", "line 2: expected a signature"},
        {"RU", "!U", "line 2: expected a signature in base64"},
        {"RU", "RURU", "line 2: expected a signature"},
        {"RUR", "RUh", "neither Ed nor ED"},
        {"\ntrusted comment: ", "\ntrusted: ", "line 3: expected \"trusted comment: …\""},
        {"\ntrusted comment: ", "\n\ntrusted comment: ", "line 3: expected \"trusted comment: …\""},
        {"o+Vsql4W37xzjUffkgN+o9usVPGspFlbtX+hyUGBdZ3ywm8P59/ySJywub67B+YdI3jCvwY1rasxsfMimQr3CQ==", "",
         "line 4: expected the trusted comment's signature"},
        {"o+Vsql4W37xzjUffkgN+o9usVPGspFlbtX+hyUGBdZ3ywm8P59/ySJywub67B+YdI3jCvwY1rasxsfMimQr3CQ==",
         "o+Vsql4W37xzjUffkgN+o9usVPGspFlbtX+hyUGBdZ3ywm8P59/ySJywub67B+YdI3jCvwY1rasxsfMimQr3CQ==AAAA",
         "line 4: expected the trusted comment's signature in base64"},
        {"o+Vsql4W37xzjUffkgN+o9usVPGspFlbtX+hyUGBdZ3ywm8P59/ySJywub67B+YdI3jCvwY1rasxsfMimQr3CQ==",
         "ql4W37xzjUffkgN+o9usVPGspFlbtX+hyUGBdZ3ywm8P59/ySJywub67B+YdI3jCvwY1rasxsfMimQr3CQ==",
         "line 4: expected the trusted comment's signature of 64 bytes, found"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = replace(of_hash, cases[i].from, cases[i].to);
        struct berth_signature signature;
        struct berth_error err = {""};

        if (berth_signature_parse(text, strlen(text), &signature, &err) != BERTH_INVALID_ARGUMENT ||
            strstr(err.message, cases[i].said) == NULL)
            fail_msg("case %zu: \"%s\", expected \"%s\"", i, err.message, cases[i].said);
        free(text);
    }
}

static void a_cut_signature_is_refused_wherever_it_ends(void **state)
{
    /* Without its last line end it is whole. */
    for (size_t length = 0; length < strlen(of_hash) - 1; length++) {
        struct berth_signature signature;
        struct berth_error err;

        if (berth_signature_parse(of_hash, length, &signature, &err) == BERTH_OK)
            assert_int_not_equal(verify(&signature, message), BERTH_OK);
    }
}

static void what_follows_a_signature_is_refused(void **state)
{
    char *text = NULL;
    struct berth_signature signature;
    struct berth_error err;

    assert_true(asprintf(&text, "%s\n%s", of_hash, "more") >= 0);
    assert_int_equal(berth_signature_parse(text, strlen(text), &signature, &err), BERTH_INVALID_ARGUMENT);
    assert_string_equal(err.message, "line 6: expected the end of the file");
    free(text);
}

static void comments_are_bounded(void **state)
{
    char *long_comment = malloc(BERTH_SIGNATURE_COMMENT_MAX + 1), *text;
    struct berth_signature signature;
    struct berth_error err;

    memset(long_comment, 'x', BERTH_SIGNATURE_COMMENT_MAX);
    long_comment[BERTH_SIGNATURE_COMMENT_MAX] = '\0';
    text = replace(of_hash, "berth module=hello version=1.2.0", long_comment);
    assert_int_equal(berth_signature_parse(text, strlen(text), &signature, &err), BERTH_INVALID_ARGUMENT);
    assert_string_equal(err.message, "line 3: the comment has 8192 bytes, the maximum is 8191");
    free(text);
    long_comment[BERTH_SIGNATURE_COMMENT_MAX - 1] = '\0';
    text = replace(of_hash, "berth module=hello version=1.2.0", long_comment);
    assert_int_equal(berth_signature_parse(text, strlen(text), &signature, &err), BERTH_OK);
    assert_int_equal(verify(&signature, message), BERTH_PERMISSION_DENIED);
    free(text);
    text = replace(of_hash, "signature from", long_comment);
    assert_int_equal(berth_signature_parse(text, strlen(text), &signature, &err), BERTH_INVALID_ARGUMENT);
    free(text);
    assert_int_equal(berth_signature_parse("untrusted comment: a\0b\n", 23, &signature, &err),
                     BERTH_INVALID_ARGUMENT);
    assert_string_equal(err.message, "line 1: the comment has a NUL");
    free(long_comment);
}

static void line_ends_may_be_of_either_kind(void **state)
{
    char text[2048];
    size_t length = 0;
    struct berth_signature signature;
    struct berth_error err;

    for (const char *at = of_hash; *at != '\0'; at++) {
        if (*at == '\n')
            text[length++] = '\r';
        text[length++] = *at;
    }
    assert_int_equal(berth_signature_parse(text, length, &signature, &err), BERTH_OK);
    assert_int_equal(verify(&signature, message), BERTH_OK);
}

static void malformed_public_keys_are_refused(void **state)
{
    static const struct {
        const char *from, *to, *said;
    } cases[] = {
        {"untrusted comment: ", "", "line 1: expected \"untrusted comment: …\""},
        {"RW", "RU", "not Ed25519"},
        {"RW", "", "line 2: expected a public key"},
        {"RW", "AAAARW", "line 2: expected a public key of 42 bytes, found 45"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = replace(public_key, cases[i].from, cases[i].to);
        struct berth_public_key key;
        struct berth_error err = {""};

        if (berth_public_key_parse(text, strlen(text), &key, &err) != BERTH_INVALID_ARGUMENT ||
            strstr(err.message, cases[i].said) == NULL)
            fail_msg("case %zu: \"%s\", expected \"%s\"", i, err.message, cases[i].said);
        free(text);
    }
}

static void a_secret_key_of_minisign_signs_what_its_public_key_verifies(void **state)
{
    struct berth_sealed_key sealed;
    struct berth_secret_key key;
    struct berth_signature signature, again;
    struct berth_error err;
    char *text;

    assert_int_equal(berth_sealed_key_parse(secret_key, strlen(secret_key), &sealed, &err), BERTH_OK);
    assert_false(sealed.is_encrypted);
    assert_int_equal(berth_sealed_key_open(&sealed, NULL, &key, &err), BERTH_OK);
    assert_int_equal(berth_signature_make(&key, message, strlen(message), "hello", &signature, &err),
                     BERTH_OK);
    assert_int_equal(verify(&signature, message), BERTH_OK);
    text = berth_signature_format(&signature, "of a test");
    again = parse_signature(text);
    assert_string_equal(again.comment, "hello");
    assert_int_equal(verify(&again, message), BERTH_OK);
    free(text);
    assert_int_equal(berth_signature_make(&key, message, strlen(message), "two\nlines", &signature, &err),
                     BERTH_INVALID_ARGUMENT);
}

static void a_password_opens_an_encrypted_key_and_no_other_does(void **state)
{
    struct berth_sealed_key sealed;
    struct berth_secret_key key;
    struct berth_error err;

    assert_int_equal(berth_sealed_key_parse(encrypted_key, strlen(encrypted_key), &sealed, &err), BERTH_OK);
    assert_true(sealed.is_encrypted);
    assert_int_equal(berth_sealed_key_open(&sealed, "Secret", &key, &err), BERTH_PERMISSION_DENIED);
    assert_string_equal(err.message, "wrong password for this key");
    assert_int_equal(berth_sealed_key_open(&sealed, "secret", &key, &err), BERTH_OK);
}

static void a_key_that_asks_for_too_much_memory_is_refused(void **state)
{
    struct berth_sealed_key sealed, ignored;
    struct berth_error err;
    char *text;

    assert_int_equal(berth_sealed_key_parse(encrypted_key, strlen(encrypted_key), &sealed, &err), BERTH_OK);
    sealed.memory = UINT64_C(1) << 40;
    text = berth_sealed_key_format(&sealed);
    assert_int_equal(berth_sealed_key_parse(text, strlen(text), &ignored, &err), BERTH_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "the maximum is"));
    free(text);
}

static void a_damaged_secret_key_is_noticed(void **state)
{
    struct berth_sealed_key sealed, changed;
    struct berth_secret_key key;
    struct berth_error err;

    assert_int_equal(berth_sealed_key_parse(secret_key, strlen(secret_key), &sealed, &err), BERTH_OK);
    for (size_t i = BERTH_KEY_ID_BYTES; i < sizeof(sealed.payload); i++) {
        changed = sealed;
        changed.payload[i] ^= 1;
        assert_int_equal(berth_sealed_key_open(&changed, NULL, &key, &err), BERTH_INVALID_ARGUMENT);
    }
}

static void a_new_pair_of_keys_belongs_together(void **state)
{
    struct berth_secret_key key, again;
    struct berth_public_key public_pair, read;
    struct berth_sealed_key sealed, parsed;
    struct berth_signature signature;
    struct berth_error err;
    char *text;

    assert_int_equal(berth_secret_key_generate(&key, &public_pair, &err), BERTH_OK);
    text = berth_public_key_format(&public_pair);
    assert_int_equal(berth_public_key_parse(text, strlen(text), &read, &err), BERTH_OK);
    assert_memory_equal(&read, &public_pair, sizeof(read));
    free(text);
    assert_int_equal(berth_sealed_key_seal(&key, NULL, &sealed, &err), BERTH_OK);
    text = berth_sealed_key_format(&sealed);
    assert_int_equal(berth_sealed_key_parse(text, strlen(text), &parsed, &err), BERTH_OK);
    assert_int_equal(berth_sealed_key_open(&parsed, NULL, &again, &err), BERTH_OK);
    assert_memory_equal(&again, &key, sizeof(key));
    free(text);
    assert_int_equal(berth_signature_make(&again, "", 0, "", &signature, &err), BERTH_OK);
    assert_int_equal(berth_signature_verify(&signature, &read, "", 0, &err), BERTH_OK);
    assert_int_equal(verify(&signature, ""), BERTH_PERMISSION_DENIED);
}

static void ids_are_read_as_they_are_printed(void **state)
{
    static const char *const wrong[] = {"", "7AFED32", "67AFED32E2C8F0A12", "67AFED32E2C8F0Ag",
                                        " 7AFED32E2C8F0A1"};
    uint8_t id[BERTH_KEY_ID_BYTES];
    char text[BERTH_KEY_ID_TEXT];

    assert_true(berth_key_id_parse("67afED32E2C8F0A1", id));
    berth_key_id_format(id, text);
    assert_string_equal(text, "67AFED32E2C8F0A1");
    assert_int_equal(id[0], 0xa1);
    assert_true(berth_key_id_parse("7AFED32E2C8F0A1", id));
    berth_key_id_format(id, text);
    assert_string_equal(text, "07AFED32E2C8F0A1");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(berth_key_id_parse(wrong[i], id));
}

/* FIPS 180-2, appendix B.1. */
static void sha256_is_the_standards(void **state)
{
    char text[BERTH_SHA256_TEXT];
    struct berth_error err;

    assert_int_equal(berth_sha256("abc", 3, text, &err), BERTH_OK);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(minisigns_signatures_are_read_and_verified),
        cmocka_unit_test(another_file_is_refused),
        cmocka_unit_test(every_bit_of_a_signature_counts),
        cmocka_unit_test(a_changed_comment_is_refused),
        cmocka_unit_test(malformed_signatures_are_refused_with_their_line),
        cmocka_unit_test(a_cut_signature_is_refused_wherever_it_ends),
        cmocka_unit_test(what_follows_a_signature_is_refused),
        cmocka_unit_test(comments_are_bounded),
        cmocka_unit_test(line_ends_may_be_of_either_kind),
        cmocka_unit_test(malformed_public_keys_are_refused),
        cmocka_unit_test(a_secret_key_of_minisign_signs_what_its_public_key_verifies),
        cmocka_unit_test(a_password_opens_an_encrypted_key_and_no_other_does),
        cmocka_unit_test(a_key_that_asks_for_too_much_memory_is_refused),
        cmocka_unit_test(a_damaged_secret_key_is_noticed),
        cmocka_unit_test(a_new_pair_of_keys_belongs_together),
        cmocka_unit_test(ids_are_read_as_they_are_printed),
        cmocka_unit_test(sha256_is_the_standards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
