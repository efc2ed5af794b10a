/* SPDX-License-Identifier: Apache-2.0 */
/*
 * berth-worker: runs one plugin of one module, confined. Started by berthd with a connection as descriptor 3;
 * its first packet says everything. The phases, in their order: read it, close the sandbox, read the
 * manifest, load, run.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <core/elf/elf.h>
#include <core/manifest/manifest.h>
#include <core/scan/scan.h>

#include "inside.h"

#define CONNECTION 3

/* The whole first packet, which lives as long as the process. Waits for it. */
static bool receive(struct packet *ret_packet)
{
    size_t capacity = PACKET_HEAD, length = 0;
    uint8_t *bytes = malloc(capacity);

    while (bytes != NULL) {
        size_t needed;
        enum packet_parsed parsed = packet_parse(bytes, length, ret_packet, &needed);
        ssize_t got;

        if (parsed != PACKET_PARTIAL)
            return parsed == PACKET_WHOLE;
        if (needed > capacity) {
            uint8_t *larger = realloc(bytes, needed);

            if (larger == NULL)
                break;
            bytes = larger;
            capacity = needed;
        }
        got = recv(CONNECTION, bytes + length, needed - length, 0);
        if (got <= 0 && errno != EINTR)
            break;
        length += got > 0 ? (size_t)got : 0;
    }
    free(bytes);
    return false;
}

/* The daemon decides when it ends. A service manager or a terminal signals both, and the daemon closes it
 * then. */
static void ignore_signals(void)
{
    static const int ignored[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};

    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
}

_Noreturn static void refuse(const struct berth_error *error, enum berth_code code)
{
    inside_refuse(CONNECTION, code, error->message);
}

/* Only the file that the daemon checked. The text lives as long as the process. */
static struct manifest *read_manifest(const struct worker_start *start, struct berth_error *err)
{
    struct config_diagnostics diagnostics = {0};
    int fd = open(start->path, O_RDONLY | O_CLOEXEC);
    size_t size = (size_t)start->status.st_size, length;
    struct manifest *manifest;
    enum berth_code code;
    char *text;
    void *file;

    if (fd < 0) {
        berth_error_set(err, BERTH_PERMISSION_DENIED, "%s: cannot be opened by its isolated process: %s",
                        start->path, strerror(errno));
        return NULL;
    }
    code = verify_same_open(fd, start->path, &start->status, err);
    file = code == BERTH_OK ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    close(fd);
    if (code != BERTH_OK)
        return NULL;
    if (file == MAP_FAILED) {
        berth_error_set(err, BERTH_UNAVAILABLE, "%s: cannot be read: %s", start->path, strerror(errno));
        return NULL;
    }
    if (note_find(file, size, start->path, &text, &length, err) != BERTH_OK)
        return NULL;
    munmap(file, size);
    manifest = manifest_parse(start->path, text, length, &diagnostics);
    if (manifest == NULL)
        berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: its manifest cannot be read", start->path);
    config_diagnostics_finish(&diagnostics);
    return manifest;
}

static const struct berth_plugin *load(const struct worker_start *start, struct berth_error *err)
{
    static struct scan_file file;
    struct manifest *manifest = read_manifest(start, err);
    const struct berth_plugin *plugin;
    struct module *module;

    if (manifest == NULL)
        return NULL;
    file = (struct scan_file){.path = (char *)(uintptr_t)start->path, .status = start->status};
    manifest->file = &file;
    if (module_load(manifest, &module, err) != BERTH_OK)
        return NULL;
    plugin = module_find(module, start->type, start->id);
    if (plugin == NULL)
        berth_error_set(err, BERTH_NOT_FOUND, "%s has no plugin %s", start->path, start->uri);
    manifest_destroy(manifest);
    return plugin;
}

int main(int argc, char **argv)
{
    static struct worker_start start;
    const struct berth_plugin *plugin;
    struct carried *settings;
    struct berth_error error = {.message = ""};
    struct packet packet;
    enum berth_code code;

    if (argc != 1) {
        fprintf(stderr, "%s: started by berthd to run an isolated plugin; it takes no arguments\n", argv[0]);
        return 2;
    }
    ignore_signals();
    if (!receive(&packet) || !worker_start_read(&packet, &start, &settings)) {
        fprintf(stderr, "berth-worker: started by berthd of the same version, not by hand\n");
        return 2;
    }
    code = sandbox_apply(&start.sandbox, &start.kernel, (pid_t)start.daemon_pid, &error);
    if (code != BERTH_OK)
        refuse(&error, code);
    /* Third-party code runs from here on: constructors first. */
    plugin = load(&start, &error);
    if (plugin == NULL)
        refuse(&error, BERTH_UNAVAILABLE);
    inside_run(CONNECTION, plugin, &start, carried_settings(settings));
}
