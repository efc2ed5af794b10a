/* SPDX-License-Identifier: Apache-2.0 */
/* RE2 behind C functions. A library of its own, so that only who has a regular expression carries C++. */
#include "pattern_engine.h"

#include <cstring>
#include <new>

#include <re2/re2.h>

namespace
{

void write_reason(const re2::RE2 &pattern, char *ret_reason)
{
    const std::string &error = pattern.error();
    size_t length = error.size();

    if (length >= PATTERN_REASON_MAX)
        for (length = PATTERN_REASON_MAX - 1; (error[length] & 0xC0) == 0x80;)
            length--;
    std::memcpy(ret_reason, error.data(), length);
    ret_reason[length] = '\0';
}

enum pattern_result compile(const char *text, size_t max_bytes, void **ret_compiled, char *ret_reason)
{
    re2::RE2::Options options;

    /* RE2 would write to standard error, past the daemon's log. */
    options.set_log_errors(false);
    options.set_never_capture(true);
    options.set_max_mem(static_cast<int64_t>(max_bytes));
    try {
        re2::RE2 *pattern = new re2::RE2(text, options);

        if (pattern->ok()) {
            *ret_compiled = pattern;
            return PATTERN_OK;
        }
        bool is_large = pattern->error_code() == re2::RE2::ErrorPatternTooLarge;
        write_reason(*pattern, ret_reason);
        delete pattern;
        return is_large ? PATTERN_TOO_LARGE : PATTERN_REFUSED;
    } catch (const std::bad_alloc &) {
        return PATTERN_OUT_OF_MEMORY;
    }
}

enum pattern_match match(const void *compiled, const char *text, size_t max_steps)
{
    const re2::RE2 &pattern = *static_cast<const re2::RE2 *>(compiled);
    size_t length = std::strlen(text);

    if (length > max_steps / static_cast<size_t>(pattern.ProgramSize()))
        return PATTERN_TOO_COSTLY;
    try {
        return re2::RE2::PartialMatch(re2::StringPiece(text, length), pattern) ? PATTERN_MATCHES
                                                                               : PATTERN_DIFFERS;
    } catch (const std::bad_alloc &) {
        return PATTERN_MATCH_OUT_OF_MEMORY;
    }
}

void destroy(void *compiled)
{
    delete static_cast<re2::RE2 *>(compiled);
}

} // namespace

extern "C" __attribute__((visibility("default"))) const struct pattern_engine berth_filter_re2 = {
    compile,
    match,
    destroy,
};
