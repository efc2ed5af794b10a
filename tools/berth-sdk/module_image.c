/* SPDX-License-Identifier: Apache-2.0 */
/* Rebuilds a module's tables from its file, following pointers through the relocations. */
#include "module_image.h"

#include <stdlib.h>
#include <string.h>

/*
 * What the dynamic linker would write: a file's pointers are not in its bytes but in its relocations.
 * Sorted by address.
 */
struct elf_relocations {
    Elf64_Rela *items;
    size_t count;
};

#if defined(__x86_64__)
#define RELOCATION_RELATIVE R_X86_64_RELATIVE
#elif defined(__aarch64__)
#define RELOCATION_RELATIVE R_AARCH64_RELATIVE
#elif defined(__riscv)
#define RELOCATION_RELATIVE R_RISCV_RELATIVE
#elif defined(__loongarch__)
#define RELOCATION_RELATIVE R_LARCH_RELATIVE
#elif defined(__powerpc64__)
#define RELOCATION_RELATIVE R_PPC64_RELATIVE
#else
#error "name this machine's relative relocation here"
#endif

static int compare(const void *a, const void *b)
{
    const Elf64_Rela *left = a, *right = b;

    return left->r_offset < right->r_offset ? -1 : left->r_offset > right->r_offset;
}

static void elf_relocations_init(struct elf_relocations *relocations, const struct elf_image *image)
{
    uint64_t address = 0;
    struct elf_table table = {0};

    *relocations = (struct elf_relocations){0};
    if (elf_image_dynamic(image, DT_RELA, 0, &address))
        table = elf_image_at(image, address, elf_image_flags(image, DT_RELASZ));
    relocations->count = table.length / sizeof(Elf64_Rela);
    if (relocations->count == 0)
        return;
    relocations->items = malloc(relocations->count * sizeof(Elf64_Rela));
    if (relocations->items == NULL)
        abort();
    memcpy(relocations->items, table.bytes, relocations->count * sizeof(Elf64_Rela));
    qsort(relocations->items, relocations->count, sizeof(Elf64_Rela), compare);
}

static void elf_relocations_finish(struct elf_relocations *relocations)
{
    free(relocations->items);
    *relocations = (struct elf_relocations){0};
}

static uint64_t target(const struct elf_image *image, const Elf64_Rela *relocation)
{
    Elf64_Sym symbol;

    if (ELF64_R_TYPE(relocation->r_info) == RELOCATION_RELATIVE)
        return (uint64_t)relocation->r_addend;
    if (!elf_image_symbol(image, ELF64_R_SYM(relocation->r_info), &symbol) || symbol.st_shndx == SHN_UNDEF)
        return UINT64_MAX;
    return symbol.st_value + (uint64_t)relocation->r_addend;
}

/*
 * The pointer at an address once the file is loaded at 0; UINT64_MAX if another file defines it.
 * @return 0 for NULL and for an address outside the file.
 */
static uint64_t elf_relocations_pointer(const struct elf_relocations *relocations,
                                        const struct elf_image *image, uint64_t address)
{
    Elf64_Rela wanted = {.r_offset = address};
    const Elf64_Rela *found =
        relocations->count == 0
            ? NULL
            : bsearch(&wanted, relocations->items, relocations->count, sizeof(Elf64_Rela), compare);
    struct elf_table bytes;
    uint64_t value = 0;

    if (found != NULL)
        return target(image, found);
    /* Packed relative relocations leave the value in place. */
    bytes = elf_image_at(image, address, sizeof(value));
    if (bytes.length == sizeof(value))
        memcpy(&value, bytes.bytes, sizeof(value));
    return value;
}

/* Longer tables are not followed: a host rejects them as well. */
#define TABLE_MAX 1024
/* All copies together. Real modules need a few kilobytes. */
#define BUDGET_BYTES ((size_t)16 << 20)

struct block {
    struct block *next;
    max_align_t bytes[];
};

struct module_image {
    const struct elf_image *image;
    struct elf_relocations relocations;
    struct block *blocks;
    size_t used;
    struct berth_module module;
    bool damaged;
};

static void *add_block(struct module_image *module, size_t count, size_t size)
{
    struct block *block;

    /* `used` includes the header of each block, so that it never exceeds the budget. */
    if (module->damaged || BUDGET_BYTES - module->used < sizeof(*block) ||
        count > (BUDGET_BYTES - module->used - sizeof(*block)) / size)
        goto damaged;
    block = calloc(1, sizeof(*block) + count * size);
    if (block == NULL)
        goto damaged;
    block->next = module->blocks;
    module->blocks = block;
    module->used += sizeof(*block) + count * size;
    return block->bytes;
damaged:
    module->damaged = true;
    return NULL;
}

/* Copies a table from the file into `table`, which is zeroed; at most its declared size. */
static void read_table(const struct module_image *module, uint64_t address, void *table, size_t size)
{
    struct elf_table bytes = elf_image_at(module->image, address, size);

    if (bytes.length > 0)
        memcpy(table, bytes.bytes, bytes.length);
}

static uint64_t read_pointer(const struct module_image *module, uint64_t address)
{
    return elf_relocations_pointer(&module->relocations, module->image, address);
}

/* A name of at most 4 KiB, in place; NULL if there is none. */
static const char *read_name(const struct module_image *module, uint64_t address)
{
    uint64_t at = read_pointer(module, address);
    struct elf_table bytes = at == 0 ? (struct elf_table){0} : elf_image_at(module->image, at, 4096);

    if (bytes.length == 0 || memchr(bytes.bytes, '\0', bytes.length) == NULL)
        return NULL;
    return (const char *)bytes.bytes;
}

/* Number of pointers before the terminating NULL of a table. */
static size_t count_pointers(struct module_image *module, uint64_t address)
{
    size_t count = 0;

    while (count <= TABLE_MAX && read_pointer(module, address + count * 8) != 0)
        count++;
    if (count > TABLE_MAX)
        module->damaged = true;
    return module->damaged ? 0 : count;
}

static void nothing(struct berth_call *call, const void *message, size_t length)
{
    (void)call;
    (void)message;
    (void)length;
}

static void read_method(struct module_image *module, uint64_t address, struct berth_method *method)
{
    read_table(module, address, method, sizeof(*method));
    *method = (struct berth_method){
        .name = read_name(module, address + offsetof(struct berth_method, name)),
        .kind = method->kind,
        .on_message =
            read_pointer(module, address + offsetof(struct berth_method, on_message)) != 0 ? nothing : NULL,
    };
}

/* Methods larger than ours are truncated to our size, as in a host. */
static void read_methods(struct module_image *module, uint64_t address, struct berth_service *service)
{
    size_t stride = service->method_size;
    struct berth_method *methods;

    service->methods = NULL;
    if (stride < sizeof(*methods))
        return;
    methods = add_block(module, service->method_count, sizeof(*methods));
    for (size_t i = 0; methods != NULL && i < service->method_count; i++)
        read_method(module, address + i * stride, &methods[i]);
    service->methods = methods;
    service->method_size = sizeof(*methods);
}

static struct berth_service *read_service(struct module_image *module, uint64_t address)
{
    struct berth_service *service = add_block(module, 1, sizeof(*service));

    if (service == NULL)
        return NULL;
    read_table(module, address, service, sizeof(*service));
    service->name = read_name(module, address + offsetof(struct berth_service, name));
    read_methods(module, read_pointer(module, address + offsetof(struct berth_service, methods)), service);
    service->descriptors = NULL;
    service->descriptors_length = 0;
    return service;
}

static const struct berth_service *const *read_services(struct module_image *module, uint64_t address)
{
    size_t count = count_pointers(module, address);
    const struct berth_service **services = add_block(module, count + 1, sizeof(*services));

    for (size_t i = 0; services != NULL && i < count; i++)
        services[i] = read_service(module, read_pointer(module, address + i * 8));
    return services;
}

/* Their names alone. */
static const struct berth_remote *const *read_remotes(struct module_image *module, uint64_t address)
{
    size_t count = count_pointers(module, address);
    const struct berth_remote **remotes = add_block(module, count + 1, sizeof(*remotes));

    for (size_t i = 0; remotes != NULL && i < count; i++) {
        uint64_t at = read_pointer(module, address + i * 8);
        struct berth_remote *remote = add_block(module, 1, sizeof(*remote));

        if (remote == NULL)
            return NULL;
        read_table(module, at, remote, sizeof(remote->size));
        remote->interface = read_name(module, at + offsetof(struct berth_remote, interface));
        if (remote->interface == NULL)
            remote->interface = "";
        remotes[i] = remote;
    }
    return remotes;
}

static struct berth_plugin *read_plugin(struct module_image *module, uint64_t address)
{
    struct berth_plugin *plugin = add_block(module, 1, sizeof(*plugin));
    uint64_t services = read_pointer(module, address + offsetof(struct berth_plugin, services)), remotes;

    if (plugin == NULL)
        return NULL;
    read_table(module, address, plugin, sizeof(plugin->size));
    plugin->type = read_name(module, address + offsetof(struct berth_plugin, type));
    plugin->id = read_name(module, address + offsetof(struct berth_plugin, id));
    if (services != 0 && plugin->size >= offsetof(struct berth_plugin, services) + sizeof(plugin->services))
        plugin->services = read_services(module, services);
    remotes = read_pointer(module, address + offsetof(struct berth_plugin, remote));
    if (remotes != 0 && plugin->size >= offsetof(struct berth_plugin, remote) + sizeof(plugin->remote))
        plugin->remote = read_remotes(module, remotes);
    return plugin;
}

static const struct berth_plugin *const *read_plugins(struct module_image *module, uint64_t address)
{
    size_t count = count_pointers(module, address);
    const struct berth_plugin **plugins = add_block(module, count + 1, sizeof(*plugins));

    for (size_t i = 0; plugins != NULL && i < count; i++)
        plugins[i] = read_plugin(module, read_pointer(module, address + i * 8));
    return plugins;
}

struct module_image *module_image_create(const struct elf_image *image, uint64_t address, uint64_t size,
                                         struct berth_error *err)
{
    struct module_image *module = calloc(1, sizeof(*module));
    uint64_t plugins;

    if (module == NULL)
        abort();
    module->image = image;
    elf_relocations_init(&module->relocations, image);
    read_table(module, address, &module->module,
               size < sizeof(module->module) ? (size_t)size : sizeof(module->module));
    plugins = read_pointer(module, address + offsetof(struct berth_module, plugins));
    module->module.plugins = NULL;
    if (module->module.size >= sizeof(module->module) && plugins != 0)
        module->module.plugins = read_plugins(module, plugins);
    if (!module->damaged)
        return module;
    berth_error_set(err, BERTH_FAILED_PRECONDITION,
                    "its tables are damaged: one is not terminated, or has more than %d entries", TABLE_MAX);
    module_image_destroy(module);
    return NULL;
}

const struct berth_module *module_image_get(const struct module_image *module)
{
    return &module->module;
}

void module_image_destroy(struct module_image *module)
{
    if (module == NULL)
        return;
    while (module->blocks != NULL) {
        struct block *next = module->blocks->next;

        free(module->blocks);
        module->blocks = next;
    }
    elf_relocations_finish(&module->relocations);
    free(module);
}
