/* SPDX-License-Identifier: Apache-2.0 */
/* What a change does to whom, why, with whom together, and in which order. */
#include "change_world.h"

/* A store, two users of its interface of which one is used in turn, a service that only calls, a server. */
#define STORE                                                                                                \
    "{module: store, version: 1.0.0, plugins: [{type: io.x.store.v1, id: lmdb, interface: s,\n"              \
    " config: {map: {type: int, default: 1}}}]}"
#define EVENTS                                                                                               \
    "{module: events, version: 1.0.0, plugins: [{type: io.x.event.v1, id: exchange, interface: e,\n"         \
    " callbacks: [reconfigure], config: {burst: {type: int, default: 1}, key: {type: string, secret: "       \
    "true}}}]}"
#define NAMES                                                                                                \
    "{module: names, version: 1.0.0, plugins: [{type: io.x.service.v1, id: names, interface: n,\n"           \
    " requires: [io.x.store.v1], wants: [io.x.event.v1], config: {size: {type: int, default: 1}}}]}"
#define LEASES                                                                                               \
    "{module: leases, version: 1.0.0, plugins: [{type: io.x.service.v1, id: leases,\n"                       \
    " requires: [io.x.store.v1.lmdb, io.x.service.v1.names]}]}"
#define GREETER                                                                                              \
    "{module: greeter, version: 1.0.0, plugins: [{type: io.x.grpc.v1, id: greeter, upgrade: beside,\n"       \
    " services: {hello.Greeter: {SayHello: unary}}, config: {word: {type: string, default: a}}}]}"
/* Two plugins of one module, in two versions. */
#define PAIR_OF(version)                                                                                     \
    "{module: pair, version: " version ", plugins: [{type: io.x.pair.v1, id: a, upgrade: beside},\n"         \
    " {type: io.x.pair.v1, id: b, upgrade: handover}]}"
#define PAIR PAIR_OF("1.0.0")
#define NEW_PAIR PAIR_OF("1.1.0")
#define SERVER                                                                                               \
    "{module: server, version: 1.0.0, plugins: [{type: io.x.server.v1, id: grpc, callbacks: [serve],\n"      \
    " wants: [io.x.grpc.v1]}]}"
#define LAZY(activate)                                                                                       \
    "{module: lazy, version: 1.0.0, plugins: [{type: io.x.lazy.v1, id: lazy, services: {x.Lazy: {Do: "       \
    "unary}},"                                                                                               \
    " requires: [io.x.below.v1]" activate "}]}"
#define BELOW(activate)                                                                                      \
    "{module: below, version: 1.0.0, plugins: [{type: io.x.below.v1, id: below, interface: b" activate "}]}"
#define IDLE STORE, GREETER, LAZY(", activate: call"), BELOW(", activate: call"), NULL
#define IDLE_ALL STORE, GREETER, LAZY(""), BELOW(""), NULL
#define ALL STORE, EVENTS, NAMES, LEASES, GREETER, SERVER, NULL

#define PLUGINS "plugins:\n"
#define SET(uri, setting) "  " uri ": {" setting "}\n"

struct test_case {
    const char *name;
    const char *modules[16], *configuration;
    const char *new_modules[16], *new_configuration;
    enum change_kind kind;
    const char *subjects[4];
    /** "cascade", "force"; URIs that failed, and such as refuse their settings. */
    const char *flags, *failed, *unwilling;
    /** One whose users are known, and the only one of them. */
    const char *known, *user;
    const char *expected;
};

static const struct test_case cases[] = {
    {"nothing differs", {ALL}, "", {ALL}, "", .expected = "0 of 6 plugins would change\n"},
    {"a limit changes in place",
     {ALL},
     "",
     {ALL},
     PLUGINS SET("io.x.event.v1.exchange", "burst: 2, key: a"),
     .expected = "reconfigure io.x.event.v1.exchange: burst changed at new:2:35, and 1 more\n"
                 "1 of 6 plugins would change\n"},
    {"one that cannot take it in place restarts with whoever uses it",
     {ALL},
     "",
     {ALL},
     PLUGINS SET("io.x.event.v1.exchange", "burst: 2"),
     .unwilling = "io.x.event.v1.exchange",
     .expected =
         "restart     io.x.event.v1.exchange: burst changed at new:2:35, which it does not take in place\n"
         "restart     io.x.service.v1.names: it uses the interface of io.x.event.v1.exchange\n"
         "restart     io.x.service.v1.leases: it uses the interface of io.x.service.v1.names\n"
         "            exclusive: calls wait; expected pause: 6 ms\n"
         "3 of 6 plugins would change\n"},
    {"who wants an interface without having it does not notice",
     {ALL},
     "",
     {ALL},
     PLUGINS SET("io.x.event.v1.exchange", "burst: 2"),
     .unwilling = "io.x.event.v1.exchange",
     .known = "io.x.event.v1.exchange",
     .expected =
         "restart     io.x.event.v1.exchange: burst changed at new:2:35, which it does not take in place\n"
         "            exclusive: calls wait; expected pause: 2 ms\n"
         "1 of 6 plugins would change\n"},
    {"who has it restarts with it",
     {ALL},
     "",
     {ALL},
     PLUGINS SET("io.x.event.v1.exchange", "burst: 2"),
     .unwilling = "io.x.event.v1.exchange",
     .known = "io.x.event.v1.exchange",
     .user = "io.x.server.v1.grpc",
     .expected =
         "restart     io.x.event.v1.exchange: burst changed at new:2:35, which it does not take in place\n"
         "restart     io.x.server.v1.grpc: it uses the interface of io.x.event.v1.exchange\n"
         "            exclusive: calls wait; expected pause: 4 ms\n"
         "2 of 6 plugins would change\n"},
    {"who requires it restarts with it, whoever has its interface",
     {ALL},
     "",
     {ALL},
     PLUGINS SET("io.x.store.v1.lmdb", "map: 2"),
     .known = "io.x.store.v1.lmdb",
     .expected = "restart     io.x.store.v1.lmdb: map changed at new:2:29\n"
                 "restart     io.x.service.v1.names: it uses the interface of io.x.store.v1.lmdb\n"
                 "restart     io.x.service.v1.leases: it uses the interface of io.x.store.v1.lmdb\n"
                 "            exclusive: calls wait; expected pause: 6 ms\n"
                 "3 of 6 plugins would change\n"},
    {"nobody notices who only calls",
     {ALL},
     "",
     {ALL},
     PLUGINS SET("io.x.grpc.v1.greeter", "word: b"),
     .expected = "restart     io.x.grpc.v1.greeter: word changed at new:2:32\n"
                 "            beside: no call waits\n"
                 "1 of 6 plugins would change\n"},
    {"an upgrade, and a setting that was reset to its default",
     {ALL},
     PLUGINS SET("io.x.service.v1.names", "size: 2"),
     {STORE, EVENTS, NAMES, LEASES,
      "{module: greeter, version: 1.1.0, plugins: [{type: io.x.grpc.v1, id: greeter,"
      " upgrade: handover}]}",
      SERVER},
     "",
     .expected = "upgrade     io.x.grpc.v1.greeter: greeter 1.1.0 replaces 1.0.0\n"
                 "            handover: calls wait while the old one drains\n"
                 "restart     io.x.service.v1.names: size was reset to its default (was set at old:2:33)\n"
                 "restart     io.x.service.v1.leases: it uses the interface of io.x.service.v1.names\n"
                 "            exclusive: calls wait; expected pause: 4 ms\n"
                 "3 of 6 plugins would change\n"},
    {"a plugin starts, another stops, a third is disabled with those that require it",
     {EVENTS, STORE, NAMES, LEASES, NULL},
     "",
     {STORE, NAMES, LEASES, GREETER, NULL},
     "disabled_plugins: [io.x.service.v1.names]\n",
     .expected =
         "apply       disabled_plugins changed at new:1:19\n"
         "stop        io.x.service.v1.leases: blocked: requires io.x.service.v1.names, which is disabled: "
         "listed in disabled_plugins at new:1:20\n"
         "stop        io.x.service.v1.names: disabled: listed in disabled_plugins at new:1:20\n"
         "stop        io.x.event.v1.exchange: its module or configuration entry was removed\n"
         "start       io.x.grpc.v1.greeter: greeter 1.0.0\n"
         "4 of 5 plugins would change\n"},
    {"who can use what starts is started anew with it",
     {STORE, NAMES, NULL},
     "",
     {STORE, NAMES, EVENTS, NULL},
     "",
     .expected =
         "start       io.x.event.v1.exchange: events 1.0.0\n"
         "restart     io.x.service.v1.names: it uses the interface of io.x.event.v1.exchange, which starts\n"
         "            exclusive: calls wait; expected pause: 2 ms\n"
         "2 of 3 plugins would change\n"},
    {"plugins of a new file move together, those that one version lacks as well",
     {"{module: m, version: 1.0.0, plugins: [{type: io.x.v1, id: a, upgrade: beside}, {type: io.x.v1, id: b,"
      " upgrade: handover}]}",
      NULL},
     "",
     {"{module: m, version: 2.0.0, plugins: [{type: io.x.v1, id: a, upgrade: beside}, {type: io.x.v1, id: c,"
      " upgrade: beside}]}",
      NULL},
     "",
     .expected = "stop        io.x.v1.b: its module or configuration entry was removed\n"
                 "upgrade     io.x.v1.a: m 2.0.0 replaces 1.0.0\n"
                 "start       io.x.v1.c: m 2.0.0\n"
                 "            handover: calls wait while the old one drains\n"
                 "3 of 3 plugins would change\n"},
    {"one that failed is left alone until something of it changes",
     {ALL},
     "",
     {ALL},
     "",
     .failed = "io.x.service.v1.names io.x.service.v1.leases",
     .expected = "0 of 6 plugins would change\n"},
    {"one that failed is tried again with what it requires, and then who requires it",
     {ALL},
     "",
     {ALL},
     PLUGINS SET("io.x.store.v1.lmdb", "map: 2"),
     .failed = "io.x.service.v1.names io.x.service.v1.leases",
     .expected =
         "restart     io.x.store.v1.lmdb: map changed at new:2:29\n"
         "            exclusive: calls wait; expected pause: 2 ms\n"
         "start       io.x.service.v1.names: it is tried again with io.x.store.v1.lmdb, which it requires\n"
         "start       io.x.service.v1.leases: it is tried again with io.x.store.v1.lmdb, which it requires\n"
         "3 of 6 plugins would change\n"},
    {"the daemon's own settings",
     {STORE, NULL},
     "root: /a\nlog: {level: info}\n",
     {STORE, NULL},
     "root: /b\nlog: {level: debug}\n",
     .expected = "apply       log.level changed at new:2:14\n"
                 "warning: root changed at new:1:7; the old value stays in effect until berthd is restarted\n"
                 "0 of 1 plugin would change\n"},
    {"a stop names whom it takes along",
     {ALL},
     "",
     {ALL},
     "disabled_plugins: [io.x.service.v1.names]\n",
     .kind = CHANGE_STOP_PLUGINS,
     .subjects = {"io.x.service.v1.names"},
     .expected = "refused: other plugins would change too: io.x.service.v1.leases (stop); add --cascade to "
                 "allow that\n"},
    {"a stop with all that falls",
     {ALL},
     "",
     {ALL},
     "disabled_plugins: [io.x.event.v1.exchange]\n",
     .kind = CHANGE_STOP_PLUGINS,
     .subjects = {"io.x.event.v1.exchange"},
     .flags = "cascade",
     .expected = "stop        io.x.event.v1.exchange: requested\n"
                 "restart     io.x.service.v1.names: it uses the interface of io.x.event.v1.exchange\n"
                 "restart     io.x.service.v1.leases: it uses the interface of io.x.service.v1.names\n"
                 "            exclusive: calls wait; expected pause: 4 ms\n"
                 "3 of 6 plugins would change\n"},
    {"a required plugin is not stopped",
     {STORE, NULL},
     "required_plugins: [io.x.store.v1.lmdb]\n",
     {"{module: store, version: 2.0.0, plugins: [{type: io.x.store.v1, id: lmdb, requires: [io.x.disk.v1]}]}",
      NULL},
     "required_plugins: [io.x.store.v1.lmdb]\n",
     .expected =
         "refused: io.x.store.v1.lmdb would stop, but it is listed in required_plugins (new:1:20); add "
         "--force to stop it\n"},
    {"what vanished stops",
     {STORE, NULL},
     "",
     {NULL},
     "",
     .expected = "stop        io.x.store.v1.lmdb: its module or configuration entry was removed\n1 of 1 "
                 "plugin would change\n"},
    {"who does not exist cannot stop",
     {STORE, NULL},
     "",
     {STORE, NULL},
     "",
     .kind = CHANGE_STOP_PLUGINS,
     .subjects = {"io.x.store.v1.other"},
     .expected = "refused: plugin \"io.x.store.v1.other\" not found\n"},
    {"a restart on request",
     {ALL},
     "",
     {ALL},
     "",
     .kind = CHANGE_RESTART_PLUGINS,
     .subjects = {"io.x.grpc.v1.greeter", "io.x.service.v1.leases"},
     .expected = "restart     io.x.grpc.v1.greeter: requested\n"
                 "            beside: no call waits\n"
                 "restart     io.x.service.v1.leases: requested\n"
                 "            exclusive: calls wait; expected pause: 2 ms\n"
                 "2 of 6 plugins would change\n"},
    {"what is disabled is not started",
     {STORE, NULL},
     "disabled_plugins: [io.x.store.v1.lmdb]\n",
     {STORE, NULL},
     "disabled_plugins: [io.x.store.v1.lmdb]\n",
     .kind = CHANGE_START_PLUGINS,
     .subjects = {"io.x.store.v1.lmdb"},
     .expected = "refused: cannot start io.x.store.v1.lmdb: it is disabled: listed in disabled_plugins at "
                 "new:1:20\n"},
    {"a start brings back those that fell with it",
     {STORE, NAMES, LEASES, NULL},
     "disabled_plugins: [io.x.service.v1.names]\n",
     {STORE, NAMES, LEASES, NULL},
     "",
     .kind = CHANGE_START_PLUGINS,
     .subjects = {"io.x.service.v1.names"},
     .expected = "start       io.x.service.v1.names: requested\n"
                 "start       io.x.service.v1.leases: what it requires is back\n"
                 "2 of 3 plugins would change\n"},
    {"an upgrade of one leaves the others, and tells of them",
     {ALL},
     "",
     {STORE, EVENTS, NAMES, LEASES, SERVER,
      "{module: greeter, version: 1.1.0, plugins: [{type: io.x.grpc.v1, id: greeter}]}", NULL},
     PLUGINS SET("io.x.store.v1.lmdb", "map: 2"),
     .kind = CHANGE_UPGRADE_PLUGINS,
     .subjects = {"io.x.grpc.v1.greeter"},
     .expected = "upgrade     io.x.grpc.v1.greeter: greeter 1.1.0 replaces 1.0.0\n"
                 "            exclusive: calls wait; expected pause: 2 ms\n"
                 "warning: 1 other plugin changed too, such as io.x.store.v1.lmdb; run `berthctl reload` to "
                 "apply that\n"
                 "1 of 6 plugins would change\n"},
    {"an upgrade brings what it requires anew",
     {STORE, GREETER, NULL},
     "",
     {STORE, EVENTS, SERVER,
      "{module: greeter, version: 1.1.0, plugins: [{type: io.x.grpc.v1, id: greeter, upgrade: beside,"
      " requires: [io.x.event.v1]}]}",
      NULL},
     "",
     .kind = CHANGE_UPGRADE_PLUGINS,
     .subjects = {"io.x.grpc.v1.greeter"},
     .expected = "start       io.x.event.v1.exchange: io.x.grpc.v1.greeter requires it\n"
                 "upgrade     io.x.grpc.v1.greeter: greeter 1.1.0 replaces 1.0.0\n"
                 "            beside: no call waits\n"
                 "2 of 4 plugins would change\n"},
    {"an upgrade to what runs is refused",
     {ALL},
     "",
     {ALL},
     "",
     .kind = CHANGE_UPGRADE_PLUGINS,
     .subjects = {"io.x.grpc.v1.greeter"},
     .expected = "refused: io.x.grpc.v1.greeter already runs the installed file: greeter 1.0.0\n"},
    {"state that the new version does not read",
     {"{module: m, version: 1.0.0, plugins: [{type: io.x.v1, id: a, upgrade: handover, callbacks: "
      "[save_state,"
      " load_state], state: {writes: 3}}]}",
      NULL},
     "",
     {"{module: m, version: 0.9.0, plugins: [{type: io.x.v1, id: a, upgrade: handover, callbacks: "
      "[save_state,"
      " load_state], state: {writes: 2}}]}",
      NULL},
     "",
     .expected =
         "upgrade     io.x.v1.a: m 0.9.0 replaces 1.0.0\n"
         "            not possible: io.x.v1.a: m 0.9.0 does not read version 3 of its state, which 1.0.0 "
         "writes; restart berthd, or add --force to drop the state\n"
         "1 of 1 plugin would change\n"},
    {"state that is dropped by force",
     {"{module: m, version: 1.0.0, plugins: [{type: io.x.v1, id: a, upgrade: handover, callbacks: "
      "[save_state,"
      " load_state], state: {writes: 3}}]}",
      NULL},
     "",
     {"{module: m, version: 0.9.0, plugins: [{type: io.x.v1, id: a, upgrade: handover}]}", NULL},
     "",
     .flags = "force",
     .expected = "upgrade     io.x.v1.a: m 0.9.0 replaces 1.0.0\n"
                 "            handover: calls wait while the old one drains\n"
                 "warning: io.x.v1.a: m 0.9.0 does not read version 3 of its state, which is dropped\n"
                 "1 of 1 plugin would change\n"},
    {"a rollback moves the module to what it was, and leaves the rest to a reload",
     {STORE, EVENTS, NAMES, LEASES, NEW_PAIR, SERVER, NULL},
     "",
     {STORE, EVENTS, NAMES, LEASES, PAIR, SERVER, NULL},
     PLUGINS SET("io.x.event.v1.exchange", "burst: 2"),
     .kind = CHANGE_ROLLBACK_PLUGINS,
     .subjects = {"io.x.pair.v1.a"},
     .expected = "upgrade     io.x.pair.v1.a: pair 1.0.0 replaces 1.1.0\n"
                 "upgrade     io.x.pair.v1.b: pair 1.0.0 replaces 1.1.0\n"
                 "            handover: calls wait while the old one drains\n"
                 "warning: 1 other plugin changed too, such as io.x.event.v1.exchange; run `berthctl reload` "
                 "to apply that\n"
                 "2 of 7 plugins would change\n"},
    {"a rollback to what runs is refused",
     {ALL},
     "",
     {ALL},
     "",
     .kind = CHANGE_ROLLBACK_PLUGINS,
     .subjects = {"io.x.grpc.v1.greeter"},
     .expected = "refused: io.x.grpc.v1.greeter already runs the previous version: greeter 1.0.0\n"},
    {"a rollback to what may not run is refused",
     {NEW_PAIR, NULL},
     "",
     {PAIR, NULL},
     "disabled_plugins: [io.x.pair.v1.a]\n",
     .kind = CHANGE_ROLLBACK_PLUGINS,
     .subjects = {"io.x.pair.v1.a"},
     .expected = "refused: cannot roll back io.x.pair.v1.a: it is disabled: listed in disabled_plugins at "
                 "new:1:20\n"},
    {"a rollback whose version does not read the state",
     {"{module: m, version: 1.1.0, plugins: [{type: io.x.v1, id: a, upgrade: handover, callbacks: "
      "[save_state, load_state], state: {writes: 3}}]}",
      NULL},
     "",
     {"{module: m, version: 1.0.0, plugins: [{type: io.x.v1, id: a, upgrade: handover, callbacks: "
      "[save_state, load_state], state: {writes: 2}}]}",
      NULL},
     "",
     .kind = CHANGE_ROLLBACK_PLUGINS,
     .subjects = {"io.x.v1.a"},
     .expected = "upgrade     io.x.v1.a: m 1.0.0 replaces 1.1.0\n"
                 "            not possible: io.x.v1.a: m 1.0.0 does not read version 3 of its state, which "
                 "1.1.0 writes; restart berthd, or add --force to drop the state\n"
                 "1 of 1 plugin would change\n"},
    {"an undo takes back what was done, and nothing else",
     {STORE, EVENTS, NAMES, LEASES, NEW_PAIR, SERVER, NULL},
     PLUGINS SET("io.x.event.v1.exchange", "burst: 2"),
     {STORE, EVENTS, NAMES, LEASES, PAIR, SERVER, NULL},
     "",
     .kind = CHANGE_UNDO,
     .subjects = {"io.x.pair.v1.a", "io.x.pair.v1.b"},
     .expected = "upgrade     io.x.pair.v1.a: pair 1.0.0 replaces 1.1.0\n"
                 "upgrade     io.x.pair.v1.b: pair 1.0.0 replaces 1.1.0\n"
                 "            handover: calls wait while the old one drains\n"
                 "2 of 7 plugins would change\n"},
    {"an undo restarts with earlier settings who would not take the new ones in place, with its users",
     {ALL},
     PLUGINS SET("io.x.event.v1.exchange", "burst: 2"),
     {ALL},
     "",
     .kind = CHANGE_UNDO,
     .subjects = {"io.x.event.v1.exchange"},
     .unwilling = "io.x.event.v1.exchange",
     .expected = "restart     io.x.event.v1.exchange: burst was reset to its default (was set at old:2:35), "
                 "which it does not take in place\n"
                 "restart     io.x.service.v1.names: it uses the interface of io.x.event.v1.exchange\n"
                 "restart     io.x.service.v1.leases: it uses the interface of io.x.service.v1.names\n"
                 "            exclusive: calls wait; expected pause: 6 ms\n"
                 "3 of 6 plugins would change\n"},
    {"an undo stops what was started and starts what was stopped",
     {STORE, EVENTS, GREETER, NULL},
     "disabled_plugins: [io.x.store.v1.lmdb]\n",
     {STORE, EVENTS, GREETER, NULL},
     "disabled_plugins: [io.x.grpc.v1.greeter]\n",
     .kind = CHANGE_UNDO,
     .subjects = {"io.x.grpc.v1.greeter", "io.x.store.v1.lmdb"},
     .expected = "stop        io.x.grpc.v1.greeter: disabled: listed in disabled_plugins at new:1:20\n"
                 "start       io.x.store.v1.lmdb: store 1.0.0\n"
                 "2 of 3 plugins would change\n"},
    {"an undo in which nothing was done changes nothing",
     {STORE, GREETER, NULL},
     PLUGINS SET("io.x.grpc.v1.greeter", "word: b"),
     {STORE, GREETER, NULL},
     "",
     .kind = CHANGE_UNDO,
     .expected = "0 of 2 plugins would change\n"},
    {"a service that goes over another transport",
     {GREETER, NULL},
     "",
     {GREETER, NULL},
     "transports: {hello.Greeter: [tcp]}\n",
     .expected = "apply       transports.\"hello.Greeter\" changed at new:1:29\n"
                 "restart     io.x.grpc.v1.greeter: the transports of hello.Greeter changed\n"
                 "            beside: no call waits\n"
                 "1 of 1 plugin would change\n"},
    {"a reload leaves idle what is idle",
     {IDLE},
     "",
     {IDLE},
     "",
     .expected = "0 of 4 plugins would change\n"},
    {"what starts on call and is new does not start",
     {STORE, NULL},
     "",
     {STORE, GREETER, NULL},
     "activation: {plugins: {io.x.grpc.v1.greeter: call}}\n",
     .expected = "apply       activation.plugins.\"io.x.grpc.v1.greeter\" changed at new:1:46\n"
                 "0 of 2 plugins would change\n"},
    {"what is no longer to be idle starts, with all that it requires",
     {IDLE},
     "",
     {IDLE},
     "activation: {plugins: {io.x.lazy.v1.lazy: start}}\n",
     .expected = "apply       activation.plugins.\"io.x.lazy.v1.lazy\" changed at new:1:43\n"
                 "start       io.x.below.v1.below: below 1.0.0\n"
                 "start       io.x.lazy.v1.lazy: lazy 1.0.0\n"
                 "2 of 4 plugins would change\n"},
    {"a call starts a plugin with what it requires and wants, and touches nothing that runs",
     {IDLE},
     "",
     {IDLE},
     "",
     .kind = CHANGE_ACTIVATE_PLUGINS,
     .subjects = {"io.x.lazy.v1.lazy"},
     .expected = "start       io.x.below.v1.below: io.x.lazy.v1.lazy needs it\n"
                 "start       io.x.lazy.v1.lazy: it was called\n"
                 "2 of 4 plugins would change\n"},
    {"a call of what runs already changes nothing",
     {IDLE},
     "",
     {IDLE},
     "",
     .kind = CHANGE_ACTIVATE_PLUGINS,
     .subjects = {"io.x.grpc.v1.greeter"},
     .expected = "0 of 4 plugins would change\n"},
    {"an operator starts what is idle, with what it needs",
     {IDLE},
     "",
     {IDLE},
     "",
     .kind = CHANGE_START_PLUGINS,
     .subjects = {"io.x.lazy.v1.lazy"},
     .expected = "start       io.x.below.v1.below: io.x.lazy.v1.lazy needs it\n"
                 "start       io.x.lazy.v1.lazy: requested\n"
                 "2 of 4 plugins would change\n"},
    {"one that failed on its first call is left to the next",
     {STORE, GREETER, NULL},
     "",
     {STORE, GREETER, NULL},
     "activation: {default: call}\n" PLUGINS SET("io.x.grpc.v1.greeter", "word: b"),
     .failed = "io.x.grpc.v1.greeter",
     .expected = "apply       activation.default changed at new:1:23\n"
                 "0 of 2 plugins would change\n"},
    {"what nobody calls becomes idle",
     {GREETER, STORE, NULL},
     "",
     {GREETER, STORE, NULL},
     "activation: {default: call}\n",
     .kind = CHANGE_REST_PLUGINS,
     .subjects = {"io.x.grpc.v1.greeter"},
     .expected = "stop        io.x.grpc.v1.greeter: nothing has called it for idle_after\n"
                 "1 of 2 plugins would change\n"},
    {"what somebody uses does not become idle",
     {IDLE_ALL},
     "",
     {IDLE_ALL},
     "activation: {plugins: {io.x.below.v1.below: call, io.x.lazy.v1.lazy: call}}\n",
     .kind = CHANGE_REST_PLUGINS,
     .subjects = {"io.x.below.v1.below"},
     .expected =
         "refused: other plugins would change too: io.x.lazy.v1.lazy (restart); add --cascade to allow "
         "that\n"},
};

static size_t count_names(const char *const *names, size_t most)
{
    size_t count = 0;

    while (count < most && names[count] != NULL)
        count++;
    return count;
}

/* @return did it come out as expected? */
static bool check_case(const struct test_case *test)
{
    struct world before, after;
    struct change_running *running;
    struct change *change;
    char *text;
    size_t length;
    bool is_fine;
    FILE *out = open_memstream(&text, &length);
    struct change_request request = {
        .kind = test->kind,
        .subjects = test->subjects,
        .subject_count = count_names(test->subjects, 4),
        .unwilling = &test->unwilling,
        .unwilling_count = test->unwilling != NULL,
        .cascade = test->flags != NULL && strcmp(test->flags, "cascade") == 0,
        .force = test->flags != NULL && strcmp(test->flags, "force") == 0,
    };

    world_open(&before, test->modules, "old", test->configuration);
    world_open(&after, test->new_modules, "new", test->new_configuration);
    running = world_run(&before);
    for (size_t i = 0; test->failed != NULL && i < world_count_running(&before); i++)
        running[i].is_ready = strstr(test->failed, running[i].entry->plugin->uri) == NULL;
    for (size_t i = 0; test->known != NULL && i < world_count_running(&before); i++)
        if (strcmp(running[i].entry->plugin->uri, test->known) == 0) {
            running[i].users_are_known = running[i].has_interface = true;
            running[i].users = &test->user;
            running[i].user_count = test->user != NULL;
        }
    change = change_create(running, world_count_running(&before), before.settings, after.plan, after.settings,
                           &request);
    change_print_text(out, change);
    assert_int_equal(fclose(out), 0);
    is_fine = strcmp(text, test->expected) == 0;
    if (!is_fine)
        print_error("%s:\n%s\nbut expected:\n%s\n", test->name, text, test->expected);
    free(text);
    change_destroy(change);
    free(running);
    world_close(&before);
    world_close(&after);
    return is_fine;
}

static void each_case_comes_out_as_it_should(void **state)
{
    bool are_fine = true;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        are_fine = check_case(&cases[i]) && are_fine;
    assert_true(are_fine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_case_comes_out_as_it_should),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
