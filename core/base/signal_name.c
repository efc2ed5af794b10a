/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the signals that the daemon reports: those it crashes with, and those it is sent. */
#include "signal_name.h"

#include <signal.h>
#include <stddef.h>

const char *signal_name(int number)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {
        {SIGABRT, "SIGABRT"},     {SIGALRM, "SIGALRM"}, {SIGBUS, "SIGBUS"},       {SIGFPE, "SIGFPE"},
        {SIGHUP, "SIGHUP"},       {SIGILL, "SIGILL"},   {SIGINT, "SIGINT"},       {SIGIO, "SIGIO"},
        {SIGPROF, "SIGPROF"},     {SIGPWR, "SIGPWR"},   {SIGQUIT, "SIGQUIT"},     {SIGSEGV, "SIGSEGV"},
        {SIGSTKFLT, "SIGSTKFLT"}, {SIGSYS, "SIGSYS"},   {SIGTERM, "SIGTERM"},     {SIGTRAP, "SIGTRAP"},
        {SIGUSR1, "SIGUSR1"},     {SIGUSR2, "SIGUSR2"}, {SIGVTALRM, "SIGVTALRM"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].number == number)
            return names[i].name;
    return "a signal";
}
