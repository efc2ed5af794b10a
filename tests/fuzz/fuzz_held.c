/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of rollbacks that are kept against any bytes: what it takes, it writes as the same. */
#include <core/module/held.h>

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char root[PATH_MAX];

static void must(int is_true)
{
    if (!is_true)
        abort();
}

static void remove_root(void)
{
    char path[PATH_MAX + 32];

    snprintf(path, sizeof(path), "%s/rollbacks/index", root);
    unlink(path);
    snprintf(path, sizeof(path), "%s/rollbacks", root);
    rmdir(path);
    rmdir(root);
}

static void make_root(void)
{
    const char *temporary = getenv("TMPDIR");

    snprintf(root, sizeof(root), "%s/fuzz-held-XXXXXX", temporary != NULL ? temporary : "/tmp");
    must(mkdtemp(root) != NULL);
    atexit(remove_root);
}

static void write_index(const uint8_t *data, size_t size)
{
    char path[PATH_MAX + 32];
    int fd;

    snprintf(path, sizeof(path), "%s/rollbacks", root);
    mkdir(path, 0700);
    strcat(path, "/index");
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct held_files held, again;
    struct berth_error err;
    char *text;

    if (root[0] == '\0')
        make_root();
    write_index(data, size);
    if (held_read(root, &held, &err) == BERTH_OK) {
        struct scan_pin *pins = held_pins(&held);

        for (size_t i = 0; i < held.count; i++)
            must(pins[i].path[0] == '/' && (held.items[i].content[0] == '\0') == (pins[i].fd < 0));
        free(pins);
        text = held_format(&held);
        if (text != NULL) {
            write_index((const uint8_t *)text, strlen(text));
            must(held_read(root, &again, &err) == BERTH_OK && again.count == held.count);
            held_finish(&again);
        }
        free(text);
    } else {
        must(err.message[0] != '\0');
    }
    held_finish(&held);
    return 0;
}
