/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the page, as they are in www/. */
#ifndef PAGE_FILES_H
#define PAGE_FILES_H

#include <stddef.h>

struct page_file {
    /** Behind the handler's prefix: "/", "/page.js". */
    const char *path;
    const char *content_type;
    /** Quoted, as in the header fields ETag and If-None-Match. */
    const char *tag;
    const unsigned char *bytes;
    size_t length;
};

extern const struct page_file page_files[];
extern const size_t page_file_count;

#endif
