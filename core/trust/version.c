/* SPDX-License-Identifier: Apache-2.0 */
/* Orders versions of modules. */
#include "trust.h"

#include <string.h>

/* One part of a version: digits, or letters and whatever else stands between separators. */
struct part {
    const char *text;
    size_t length;
    bool is_number;
};

static bool is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

static bool is_separator(char letter)
{
    return letter == '.' || letter == '-' || letter == '+' || letter == '\0';
}

/* "rc10" is "rc" and 10. */
static struct part take_part(const char **at)
{
    struct part part = {.text = *at, .is_number = is_digit(**at)};

    while (!is_separator(**at) && is_digit(**at) == part.is_number)
        ++*at;
    part.length = (size_t)(*at - part.text);
    while (part.is_number && part.length > 1 && part.text[0] == '0') {
        part.text++;
        part.length--;
    }
    return part;
}

/* Numbers come after words: "1.2.0" after "1.2.beta". */
static int compare_parts(const struct part *a, const struct part *b)
{
    size_t shorter = a->length < b->length ? a->length : b->length;
    int order;

    if (a->is_number != b->is_number)
        return a->is_number ? 1 : -1;
    if (a->is_number && a->length != b->length)
        return a->length < b->length ? -1 : 1;
    order = memcmp(a->text, b->text, shorter);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

/* How a version that ends here compares with one that goes on with this: with a pre-release it is above. */
static int compare_end(const char *rest)
{
    while (*rest == '.' || *rest == '0')
        rest++;
    if (*rest == '\0' || *rest == '+')
        return 0;
    return *rest == '-' ? 1 : -1;
}

int trust_compare_versions(const char *a, const char *b)
{
    for (;;) {
        bool a_ends = *a == '\0' || *a == '+', b_ends = *b == '\0' || *b == '+';
        struct part left, right;
        int order;

        if (a_ends && b_ends)
            return 0;
        if (a_ends)
            return compare_end(b);
        if (b_ends)
            return -compare_end(a);
        if (is_separator(*a) && is_separator(*b)) {
            if (*a != *b)
                return *a == '-' ? -1 : 1;
            a++;
            b++;
            continue;
        }
        if (is_separator(*a) || is_separator(*b))
            return is_separator(*a) ? (*a == '-' ? 1 : -1) : (*b == '-' ? -1 : 1);
        left = take_part(&a);
        right = take_part(&b);
        order = compare_parts(&left, &right);
        if (order != 0)
            return order;
    }
}
