/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the conformance suite: each test case in its own process, with results as TAP. */
#include <berth/store_test.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conform.h"

/* Time limit of a case; then its process is killed. */
#define PATIENCE_SECONDS 120

static const struct conform_case *const groups[] = {conform_entries, conform_life, conform_random};

#define GROUPS (sizeof(groups) / sizeof(groups[0]))

static const char *missing(const struct berth_store_harness *harness, const struct conform_case *one)
{
    if ((one->needs & CONFORM_SURVIVAL) != 0 && !harness->survives)
        return "entries do not survive the process";
    if ((one->needs & CONFORM_OTHERS) != 0 && harness->write_as_other == NULL)
        return "the store has no other writers";
    return NULL;
}

static void run_case(const struct berth_store_harness *harness, const struct conform_case *one)
{
    struct conform c = {.harness = harness};

    conform_open(&c, true);
    one->run(&c);
    conform_close(&c);
}

static bool run_in_child(const struct berth_store_harness *harness, const struct conform_case *one)
{
    int status;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        alarm(PATIENCE_SECONDS);
        run_case(harness, one);
        exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return false;
    if (WIFSIGNALED(status))
        fprintf(stderr, "%s: killed by signal %d%s\n", one->name, WTERMSIG(status),
                WTERMSIG(status) == SIGALRM ? " (timed out)" : "");
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int run_one(const struct berth_store_harness *harness, const char *name)
{
    for (size_t i = 0; i < GROUPS; i++)
        for (const struct conform_case *one = groups[i]; one->name != NULL; one++)
            if (strcmp(one->name, name) == 0 && missing(harness, one) == NULL) {
                run_case(harness, one);
                return 0;
            }
    fprintf(stderr, "%s: no such case, or not for this store\n", name);
    return 1;
}

int berth_store_test(const struct berth_store_harness *harness, int argc, char **argv)
{
    unsigned number = 0;
    int failed = 0;

    if (argc > 1)
        return run_one(harness, argv[1]);
    for (size_t i = 0; i < GROUPS; i++)
        for (const struct conform_case *one = groups[i]; one->name != NULL; one++) {
            const char *why_not = missing(harness, one);
            bool is_well = why_not != NULL || run_in_child(harness, one);

            printf("%s %u - %s: %s%s%s\n", is_well ? "ok" : "not ok", ++number, harness->name, one->name,
                   why_not == NULL ? "" : " # SKIP ", why_not == NULL ? "" : why_not);
            failed |= !is_well;
        }
    printf("1..%u\n", number);
    return failed;
}
