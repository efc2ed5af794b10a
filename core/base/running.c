/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running word. Only its own thread writes a thread's frames; `version` is odd while it does, so that
 * another thread never sees half of an entry, and never waits for one.
 */
#include "running.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sdk/base/hash.h>
#include <sdk/base/memory.h>

#include "frames.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

/* Owners in blocks that never move, for readers that take no lock. */
#define BLOCK_OWNERS 64
#define BLOCKS_MAX 4096

static struct running_plugin *_Atomic blocks[BLOCKS_MAX];
static atomic_uint owner_count;

/* By URI, the latest first. Whoever reads a head sees a complete record, and all that it leads to. */
#define BUCKETS 256
static _Atomic(struct running_plugin *) buckets[BUCKETS];

static struct running_thread *loop_thread;
static _Thread_local struct running_thread *this_thread;
/* The loop's own, as the next. */
static struct running_limits limits;
/* Below it no entry can be too slow, whatever a tick is worth. */
static uint64_t slow_ticks = UINT64_MAX;
/* Entries that last RUNNING_STAMP_MS are timed. */
static atomic_uint_least64_t stamp_ticks = UINT64_MAX;
static void (*on_step)(const struct running_word *word, bool has_ended);
/* Set in a forked child only. */
static void (*_Atomic on_leave)(void);
static struct running_box no_box;
static struct running_box *box = &no_box;

static char *copy(const char *text)
{
    return memory_copy(text != NULL ? text : "");
}

static size_t bucket_of(const char *uri)
{
    return berth_hash(BERTH_HASH_START, uri, strlen(uri)) % BUCKETS;
}

struct running_plugin *running_add(const char *uri, const char *module, const char *version, const char *path)
{
    uint32_t i = atomic_load(&owner_count);
    struct running_plugin *block, *owner;
    size_t bucket;

    if (i / BLOCK_OWNERS == BLOCKS_MAX)
        abort();
    block = atomic_load(&blocks[i / BLOCK_OWNERS]);
    if (block == NULL) {
        block = memory_allocate(BLOCK_OWNERS, sizeof(*block));
        atomic_store(&blocks[i / BLOCK_OWNERS], block);
    }
    owner = &block[i % BLOCK_OWNERS];
    owner->index = i + 1;
    owner->uri = copy(uri);
    owner->module = copy(module);
    owner->version = copy(version);
    owner->path = copy(path);
    bucket = bucket_of(owner->uri);
    owner->before = atomic_load(&buckets[bucket]);
    atomic_store(&buckets[bucket], owner);
    atomic_store(&owner_count, i + 1);
    return owner;
}

struct running_plugin *running_get(uint32_t index)
{
    if (index == 0 || index > atomic_load(&owner_count))
        return NULL;
    return &atomic_load(&blocks[(index - 1) / BLOCK_OWNERS])[(index - 1) % BLOCK_OWNERS];
}

uint32_t running_count(void)
{
    return atomic_load(&owner_count);
}

/*
 * Files besides the one that a plugin was added with. A signal handler may read the list at any time, so a
 * place is never freed, but used again for a path that fits.
 */
struct file {
    struct file *next;
    _Atomic(struct running_plugin *) owner;
    size_t size;
    char path[];
};
static _Atomic(struct file *) files;

static struct file *find_free_file(size_t size)
{
    struct file *file = atomic_load(&files);

    while (file != NULL && (atomic_load(&file->owner) != NULL || file->size < size))
        file = file->next;
    return file;
}

void running_add_file(struct running_plugin *plugin, const char *path)
{
    size_t size = strlen(path) + 1;
    struct file *file = find_free_file(size);

    if (file == NULL) {
        file = memory_allocate(1, sizeof(*file) + size);
        file->size = size;
        file->next = atomic_load(&files);
        memcpy(file->path, path, size);
        atomic_store(&file->owner, plugin);
        atomic_store(&files, file);
        return;
    }
    memcpy(file->path, path, size);
    atomic_store(&file->owner, plugin);
}

void running_remove_file(const char *path)
{
    for (struct file *file = atomic_load(&files); file != NULL; file = file->next)
        if (atomic_load(&file->owner) != NULL && strcmp(file->path, path) == 0)
            atomic_store(&file->owner, NULL);
}

/* Is it loaded from this file, or has it a generation that is? */
static bool has_file(const struct running_plugin *plugin, const char *path)
{
    if (strcmp(plugin->path, path) == 0)
        return true;
    for (const struct file *file = atomic_load(&files); file != NULL; file = file->next)
        if (atomic_load(&file->owner) == plugin && strcmp(file->path, path) == 0)
            return true;
    return false;
}

struct running_plugin *running_find_by_file(const char *path, const struct running_plugin *preferred)
{
    struct running_plugin *found = NULL;

    for (uint32_t i = 1; i <= running_count(); i++) {
        struct running_plugin *plugin = running_get(i);

        if (!has_file(plugin, path))
            continue;
        if (preferred == NULL || plugin == preferred)
            return plugin;
        if (found == NULL)
            found = plugin;
    }
    return found;
}

struct running_plugin *running_find_by_frames(void *const *frames, size_t count,
                                              const struct running_plugin *preferred, const void **ret_frame)
{
    for (size_t i = 0; i < count; i++) {
        struct running_plugin *plugin = NULL;
        const char *path;
        uintptr_t offset;

        if (frames_find_file(frames[i], &path, &offset))
            plugin = running_find_by_file(path, preferred);
        if (plugin == NULL)
            continue;
        if (ret_frame != NULL)
            *ret_frame = frames[i];
        return plugin;
    }
    return NULL;
}

bool running_is_alone_in_its_module(const struct running_plugin *plugin)
{
    for (uint32_t i = 1; i <= running_count(); i++)
        if (running_get(i) != plugin && strcmp(running_get(i)->path, plugin->path) == 0)
            return false;
    return true;
}

static struct running_plugin *find_from(struct running_plugin *plugin, const char *uri)
{
    while (plugin != NULL && strcmp(plugin->uri, uri) != 0)
        plugin = plugin->before;
    return plugin;
}

struct running_plugin *running_find(const char *uri)
{
    return find_from(atomic_load(&buckets[bucket_of(uri)]), uri);
}

struct running_plugin *running_find_before(const struct running_plugin *plugin)
{
    return find_from(plugin->before, plugin->uri);
}

struct running_plugin *running_find_version(const char *uri, const char *version, const char *path)
{
    struct running_plugin *plugin = running_find(uri);

    while (plugin != NULL &&
           (strcmp(plugin->path, path) != 0 || strcmp(plugin->version, version != NULL ? version : "") != 0))
        plugin = running_find_before(plugin);
    return plugin;
}

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Where the processor's counter runs at one speed on all cores it costs half of what the clock does. */
static struct {
    bool counts;
    uint64_t ticks, ns;
} origin;

static uint64_t read_counter(void)
{
#if defined(__x86_64__)
    return __rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;

    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return 0;
#endif
}

static bool has_steady_counter(void)
{
#if defined(__x86_64__)
    unsigned a, b, c, d;

    return __get_cpuid(0x80000007u, &a, &b, &c, &d) != 0 && (d & (1u << 8)) != 0;
#elif defined(__aarch64__)
    return true;
#else
    return false;
#endif
}

static void start_clock(void)
{
    origin.counts = has_steady_counter();
    origin.ns = clock_ns();
    origin.ticks = running_ticks();
}

uint64_t running_ticks(void)
{
    return origin.counts ? read_counter() : clock_ns();
}

/* The longer the process runs, the better the ratio is known. */
uint64_t running_ticks_to_ns(uint64_t ticks)
{
    uint64_t elapsed_ticks = running_ticks() - origin.ticks, elapsed_ns = clock_ns() - origin.ns;

    if (!origin.counts)
        return ticks;
    if (elapsed_ticks == 0)
        return 0;
    return (uint64_t)((double)ticks * ((double)elapsed_ns / (double)elapsed_ticks));
}

/* With a better ratio the same ticks may be fewer nanoseconds, and whoever counts would take that for a
 * restart. */
uint64_t running_plugin_ns(struct running_plugin *plugin)
{
    uint64_t ns = running_ticks_to_ns(plugin->ticks);

    if (ns > plugin->told_ns)
        plugin->told_ns = ns;
    return plugin->told_ns;
}

/* If no place is free, the thread is not shown. */
static void take_place(struct running_thread *thread, const struct running_plugin *owner)
{
    for (size_t i = 0; owner != NULL && i < RUNNING_BOX_PREPARES; i++) {
        unsigned nobody = 0;

        if (atomic_compare_exchange_strong(&box->prepares[i], &nobody, owner->index)) {
            thread->place = &box->prepares[i];
            return;
        }
    }
}

static void leave_place(struct running_thread *thread)
{
    if (thread->place != NULL)
        atomic_store(thread->place, 0);
    thread->place = NULL;
}

void running_thread_begin(struct running_thread *thread, bool is_loop)
{
    if (origin.ns == 0)
        start_clock();
    thread->is_loop = is_loop;
    this_thread = thread;
    if (is_loop)
        loop_thread = thread;
}

void running_thread_end(void)
{
    if (this_thread == loop_thread)
        loop_thread = NULL;
    leave_place(this_thread);
    this_thread = NULL;
}

struct running_thread *running_this_thread(void)
{
    return this_thread;
}

bool running_is_loop(void)
{
    return this_thread != NULL && this_thread->is_loop;
}

void running_limit(const struct running_limits *new_limits)
{
    limits = *new_limits;
    /* A counter of less than 1 MHz is unheard of; report_slow computes exactly. */
    slow_ticks = limits.slow_ns > 0 ? limits.slow_ns / 1000 : UINT64_MAX;
}

void running_use_box(struct running_box *new_box)
{
    box = new_box != NULL ? new_box : &no_box;
}

void running_watch_steps(void (*new_on_step)(const struct running_word *word, bool has_ended))
{
    on_step = new_on_step;
}

bool running_is_alone(void)
{
    for (size_t i = 0; i < RUNNING_BOX_PREPARES; i++)
        if (atomic_load_explicit(&box->prepares[i], memory_order_relaxed) != 0)
            return false;
    return true;
}

static bool is_step(enum running_doing doing)
{
    return doing >= RUNNING_LOAD && doing <= RUNNING_CLOSE;
}

void running_watch_leave(void (*new_on_leave)(void))
{
    atomic_store(&on_leave, new_on_leave);
}

static const unsigned no_flag, *flag = &no_flag;

void running_watch_flag(const unsigned *new_flag)
{
    flag = new_flag != NULL ? new_flag : &no_flag;
}

bool running_flag_was_set(void)
{
    const struct running_thread *thread = this_thread;
    unsigned depth = thread == NULL ? 0 : atomic_load_explicit(&thread->depth, memory_order_relaxed);

    return depth > 0 && depth <= RUNNING_DEPTH_MAX && thread->frames[depth - 1].flag_was_set;
}

static void show_in_box(const struct running_plugin *owner, enum running_doing doing)
{
    atomic_store_explicit(&box->owner, owner != NULL ? owner->index : 0, memory_order_relaxed);
    atomic_store_explicit(&box->doing, owner != NULL ? (int)doing : RUNNING_NOTHING, memory_order_relaxed);
}

/* Of the entries of one turn, so that one that comes alone is always timed. */
#define FIRST 4

void running_begin_turn(void)
{
    if (this_thread != NULL)
        this_thread->first = 0;
}

/* At random, so that entries that take turns are all timed: uniform, RUNNING_SAMPLE on average. */
static uint32_t next_gap(struct running_thread *thread)
{
    thread->random = thread->random * 1664525 + 1013904223;
    return (thread->random >> 8) % (2 * RUNNING_SAMPLE - 1) + 1;
}

/* @return how many entries the time of the next one represents; 0: it need not be timed. */
static uint32_t weigh(struct running_thread *thread, const struct running_plugin *owner,
                      enum running_doing doing)
{
    if (!thread->is_loop || owner == NULL || (doing != RUNNING_HANDLER && doing != RUNNING_INTERCEPTOR))
        return 1;
    if (thread->first < FIRST) {
        thread->first++;
        return 1;
    }
    atomic_store_explicit(&thread->is_crowded, true, memory_order_relaxed);
    if (!atomic_load_explicit(&thread->is_stamped, memory_order_relaxed))
        return 1;
    if (thread->until_next > 0) {
        thread->until_next--;
        return 0;
    }
    thread->until_next = next_gap(thread) - 1;
    return RUNNING_SAMPLE;
}

void running_enter(struct running_plugin *owner, enum running_doing doing, const char *detail)
{
    struct running_thread *thread = this_thread;
    unsigned depth, version;
    struct running_frame *frame;
    uint64_t now;

    if (thread == NULL)
        return;
    if (is_step(doing) && on_step != NULL && owner != NULL && thread->is_loop)
        on_step(&(struct running_word){.owner = owner, .doing = doing}, false);
    depth = atomic_load_explicit(&thread->depth, memory_order_relaxed);
    if (depth >= RUNNING_DEPTH_MAX) {
        atomic_store_explicit(&thread->depth, depth + 1, memory_order_relaxed);
        return;
    }
    frame = &thread->frames[depth];
    frame->weight = depth > 0 ? 1 : weigh(thread, owner, doing);
    frame->nested_ticks = 0;
    frame->flag_was_set = thread->is_loop && *flag != 0;
    now = frame->weight > 0 ? running_ticks() : 0;
    version = atomic_load_explicit(&thread->version, memory_order_relaxed);
    atomic_store_explicit(&thread->version, version + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&frame->owner, owner, memory_order_relaxed);
    atomic_store_explicit(&frame->detail, detail, memory_order_relaxed);
    atomic_store_explicit(&frame->doing, doing, memory_order_relaxed);
    atomic_store_explicit(&frame->begun, now, memory_order_relaxed);
    atomic_store_explicit(&frame->seen, 0, memory_order_relaxed);
    atomic_store_explicit(&frame->limit_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&thread->depth, depth + 1, memory_order_relaxed);
    atomic_store_explicit(&thread->version, version + 2, memory_order_release);
    if (thread->is_loop)
        show_in_box(owner, doing);
    else if (depth == 0)
        take_place(thread, owner);
}

static void read_frame(const struct running_frame *frame, struct running_word *word)
{
    word->owner = atomic_load_explicit(&frame->owner, memory_order_relaxed);
    word->doing = atomic_load_explicit(&frame->doing, memory_order_relaxed);
    word->detail = atomic_load_explicit(&frame->detail, memory_order_relaxed);
    word->since = atomic_load_explicit(&frame->begun, memory_order_relaxed);
    if (word->since == 0)
        word->since = atomic_load_explicit(&frame->seen, memory_order_relaxed);
    word->limit_ns = atomic_load_explicit(&frame->limit_ns, memory_order_relaxed);
}

static void report_slow(const struct running_word *word, uint64_t own_ticks)
{
    uint64_t ns = running_ticks_to_ns(own_ticks);

    if (ns < limits.slow_ns) {
        /* Not slow after all: the measurement shows how many ticks it takes. */
        slow_ticks = own_ticks;
        return;
    }
    word->owner->slow++;
    limits.on_slow(word, ns);
}

/*
 * Entries that last long enough to be stamped are all timed and count once each. Of the others, one
 * represents as many as its weight says, including those of no weight.
 */
static void charge(const struct running_frame *frame, const struct running_word *word, uint64_t own_ticks)
{
    struct running_plugin *owner = word->owner;
    bool is_long =
        frame->weight == 1 || own_ticks >= atomic_load_explicit(&stamp_ticks, memory_order_relaxed);

    if (owner == NULL)
        return;
    owner->ticks += own_ticks * (is_long ? 1 : frame->weight);
    owner->entries++;
    if (own_ticks > owner->longest_ticks)
        owner->longest_ticks = own_ticks;
    if (own_ticks > slow_ticks)
        report_slow(word, own_ticks);
}

static __attribute__((noinline)) void leave_timed(struct running_thread *thread, unsigned depth)
{
    const struct running_frame *frame = &thread->frames[depth];
    struct running_word word, outer = {.owner = NULL};
    uint64_t took, own;

    read_frame(frame, &word);
    took = running_ticks();
    took = took > word.since ? took - word.since : 0;
    own = took > frame->nested_ticks ? took - frame->nested_ticks : 0;
    if (depth > 0) {
        thread->frames[depth - 1].nested_ticks += took;
        read_frame(&thread->frames[depth - 1], &outer);
    }
    atomic_store_explicit(&thread->depth, depth, memory_order_relaxed);
    if (!thread->is_loop) {
        if (depth == 0)
            leave_place(thread);
        return;
    }
    show_in_box(outer.owner, outer.doing);
    charge(frame, &word, own);
    if (is_step(word.doing) && on_step != NULL && word.owner != NULL)
        on_step(&word, true);
}

void running_leave(void)
{
    struct running_thread *thread = this_thread;
    void (*leave)(void) = atomic_load_explicit(&on_leave, memory_order_acquire);
    struct running_frame *frame;
    unsigned depth;

    if (thread == NULL)
        return;
    if (leave != NULL)
        leave();
    depth = atomic_load_explicit(&thread->depth, memory_order_relaxed) - 1;
    if (depth >= RUNNING_DEPTH_MAX) {
        atomic_store_explicit(&thread->depth, depth, memory_order_relaxed);
        return;
    }
    frame = &thread->frames[depth];
    if (frame->weight > 0 || atomic_load_explicit(&frame->seen, memory_order_relaxed) != 0) {
        leave_timed(thread, depth);
        return;
    }
    atomic_store_explicit(&thread->depth, depth, memory_order_relaxed);
    atomic_store_explicit(&box->owner, 0, memory_order_relaxed);
    atomic_load_explicit(&frame->owner, memory_order_relaxed)->entries++;
}

bool running_is_own(void)
{
    const struct running_thread *thread = this_thread;
    unsigned depth = thread == NULL ? 0 : atomic_load_explicit(&thread->depth, memory_order_relaxed);

    return depth > 0 && depth <= RUNNING_DEPTH_MAX && !thread->is_leaving_own &&
           atomic_load_explicit(&thread->frames[depth - 1].doing, memory_order_relaxed) == RUNNING_OWN;
}

void running_leave_own(void)
{
    this_thread->is_leaving_own = true;
    running_leave();
    this_thread->is_leaving_own = false;
}

/* The thread that is looked at may be the one that was interrupted by the signal in which we look. */
static bool is_whole(const struct running_thread *thread, unsigned before)
{
    atomic_thread_fence(memory_order_acquire);
    return before % 2 == 0 && atomic_load_explicit(&thread->version, memory_order_relaxed) == before;
}

/* If the entry ends in the meantime, the next one seems to have begun earlier by as much as this takes. */
bool running_stamp(struct running_thread *thread)
{
    struct running_frame *frame = &thread->frames[0];
    unsigned version = atomic_load_explicit(&thread->version, memory_order_acquire);
    bool is_due = atomic_load_explicit(&thread->depth, memory_order_relaxed) > 0 &&
                  atomic_load_explicit(&frame->begun, memory_order_relaxed) == 0 &&
                  atomic_load_explicit(&frame->seen, memory_order_relaxed) == 0;

    if (is_due && is_whole(thread, version))
        atomic_store_explicit(&frame->seen, running_ticks(), memory_order_relaxed);
    return atomic_exchange(&thread->is_crowded, false);
}

void running_stamp_often(struct running_thread *thread, bool is_often)
{
    uint64_t elapsed_ns = clock_ns() - origin.ns;

    if (is_often && elapsed_ns > 0)
        atomic_store(&stamp_ticks, (uint64_t)((double)(running_ticks() - origin.ticks) / (double)elapsed_ns *
                                              RUNNING_STAMP_MS * 1e6));
    atomic_store(&thread->is_stamped, is_often);
}

void running_allow(uint64_t limit_ns)
{
    struct running_thread *thread = this_thread;
    unsigned depth = thread == NULL ? 0 : atomic_load_explicit(&thread->depth, memory_order_relaxed);

    if (depth > 0 && depth <= RUNNING_DEPTH_MAX)
        atomic_store_explicit(&thread->frames[depth - 1].limit_ns, limit_ns, memory_order_relaxed);
    if (limit_ns > 0 && thread != NULL && thread->is_loop && limit_ns < limits.soon_ns)
        limits.on_soon();
}

static unsigned depth_of(const struct running_thread *thread)
{
    unsigned depth = atomic_load_explicit(&thread->depth, memory_order_relaxed);

    return depth < RUNNING_DEPTH_MAX ? depth : RUNNING_DEPTH_MAX;
}

static unsigned look_once(const struct running_thread *thread, struct running_word *words)
{
    unsigned count = 0;

    for (unsigned level = depth_of(thread); level > 0; level--) {
        read_frame(&thread->frames[level - 1], &words[count]);
        count += words[count].owner != NULL;
    }
    return count;
}

/* A thread that is in the middle of a change, or changes all the time, runs nothing in particular. */
#define TRIES 1000

unsigned running_look_all(const struct running_thread *thread, struct running_word *ret_words)
{
    for (int tries = 0; tries < TRIES; tries++) {
        unsigned before = atomic_load_explicit(&thread->version, memory_order_acquire);
        unsigned count = look_once(thread, ret_words);

        if (is_whole(thread, before))
            return count;
    }
    return 0;
}

bool running_look(const struct running_thread *thread, struct running_word *ret_word)
{
    for (int tries = 0; tries < TRIES; tries++) {
        unsigned before = atomic_load_explicit(&thread->version, memory_order_acquire),
                 depth = depth_of(thread);

        *ret_word = (struct running_word){.owner = NULL};
        if (depth > 0)
            read_frame(&thread->frames[depth - 1], ret_word);
        if (is_whole(thread, before))
            return ret_word->owner != NULL;
    }
    *ret_word = (struct running_word){.owner = NULL};
    return false;
}

const char *running_doing_name(enum running_doing doing)
{
    static const char *const names[] = {
        "nothing",  "loading",     "migrate",    "check",      "prepare",     "discard",         "init",
        "serve",    "drain",       "close",      "handler",    "interceptor", "posted function", "callback",
        "callback", "reconfigure", "save_state", "load_state", "unloading",
    };

    return (size_t)doing < sizeof(names) / sizeof(names[0]) ? names[doing] : "unknown";
}

static void add(char *text, size_t size, const char *more)
{
    size_t length = strlen(text);

    while (*more != '\0' && length + 1 < size)
        text[length++] = *more++;
    text[length] = '\0';
}

void running_describe(const struct running_word *word, char *text, size_t size)
{
    text[0] = '\0';
    add(text, size, running_doing_name(word->doing));
    if (word->detail != NULL) {
        add(text, size, " ");
        add(text, size, word->detail);
    }
    add(text, size, " of ");
    add(text, size, word->owner->uri);
}
