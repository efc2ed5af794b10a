/* SPDX-License-Identifier: Apache-2.0 */
/* The least that any host must do: open every file of a directory in the order of names, and find one symbol.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/plugin.h>

static int is_module(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return length > 3 && strcmp(entry->d_name + length - 3, ".so") == 0;
}

static int load(const char *directory, const char *name)
{
    char path[4096];
    void *module;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    return dlsym(module, BERTH_MODULE_SYMBOL) == NULL;
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    int count = argc == 2 ? scandir(argv[1], &entries, is_module, alphasort) : -1;

    if (count < 0)
        return 2;
    for (int i = 0; i < count; i++) {
        if (load(argv[1], entries[i]->d_name) != 0)
            return 1;
        free(entries[i]);
    }
    free(entries);
    printf("%d\n", count);
    return 0;
}
