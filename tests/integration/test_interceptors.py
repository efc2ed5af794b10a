# SPDX-License-Identifier: Apache-2.0
"""Interceptors around the calls of every transport: the one that sdk/README.md shows, and some that meddle."""

import re
import subprocess
import unittest

import ask
import grpc
import protos
from daemon import Case
from test_ttrpc import Peer, REQUEST, field, request
from workshop import BUILD, SOURCE, Plugin

HELLO = "/helloworld.Greeter/SayHello"
TYPE = "io.berth.interceptor.v1"

# Each writes what it sees, with its own name. The header "refuse" refuses, "hide" keeps replies from leaving.
HOOKS = """
static const struct berth_metadata *wants(const struct berth_call *call, const char *key, const char *id)
{
    const struct berth_metadata *found = berth_call_metadata(call, key);

    return found != NULL && strcmp(found->value, id) == 0 ? found : NULL;
}

static enum berth_code on_start(void *self, struct berth_call *call, void **ret_state, struct berth_error *err)
{
    const struct berth_host *host = (const struct berth_host *)self;
    const char *before = berth_call_annotation(call, "passed");

    berth_log(host, BERTH_LOG_INFO, "start over %s after %s", call->transport, before != NULL ? before : "nobody");
    if (wants(call, "refuse", host->id) != NULL)
        return berth_error_set(err, BERTH_PERMISSION_DENIED, "%s says no", host->id);
    return berth_call_annotate(call, "passed", host->id);
}

static void on_message(void *self, struct berth_call *call, void *state, const void *message, size_t length)
{
    berth_log((const struct berth_host *)self, BERTH_LOG_INFO, "request of %zu", length);
}

static void on_reply(void *self, struct berth_call *call, void *state, const void *message, size_t length)
{
    berth_log((const struct berth_host *)self, BERTH_LOG_INFO, "reply of %zu", length);
    if (wants(call, "hide", ((const struct berth_host *)self)->id) != NULL)
        berth_call_finish(call, BERTH_PERMISSION_DENIED, "that stays here");
}

static void on_finish(void *self, struct berth_call *call, void *state, enum berth_code code, const char *message)
{
    const struct berth_host *host = (const struct berth_host *)self;

    berth_log(host, BERTH_LOG_INFO, "finish %s", berth_code_name(code));
    berth_call_add_trailer(call, "passed", host->id, strlen(host->id));
}

static const struct berth_interceptor hooks = {
    .size = sizeof(hooks), .name = "meddler", .on_start = on_start, .on_message = on_message,
    .on_finish = on_finish, .on_reply = on_reply};
"""
INTERCEPT = "return berth_intercept(host, &hooks, (void *)(uintptr_t)host, err);"


class Example(Case):
    def build(self):
        """As the README has it: its YAML, its C, and what berth-sdk makes of the first."""
        text = (SOURCE / "sdk/README.md").read_text(encoding="utf-8")
        section = text[text.index("## Interceptors"):].split("\n## ")[0]
        manifest = "".join(line[4:] + "\n" for line in section.splitlines() if line.startswith("    ")
                           and line.lstrip().startswith(("module", "version", "plugins", "- type", "id", "wants")))
        folder = self.workshop.top / "author"
        folder.mkdir()
        (folder / "plugin.yaml").write_text(manifest, encoding="utf-8")
        subprocess.run([BUILD / "tools/berth-sdk/berth-sdk", "generate", "plugin.yaml"], cwd=folder, check=True)
        source = re.search(r"```c\n(.*?)```", section, re.DOTALL)[1]
        self.workshop.compile("calls", source, "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
                              "-Wno-missing-field-initializers", f"-I{folder}", str(folder / "calls-plugin.c"))

    def test_the_example_of_the_readme_writes_a_line_for_each_call(self):
        self.build()
        self.workshop.add_default_modules()
        daemon = self.start()
        ask.unary(daemon.address, HELLO, protos.greeter.HelloRequest(name="me"), protos.greeter.HelloReply,
                  metadata=[("containerd-namespace", "k8s.io")])
        line = daemon.wait_for_log("SayHello over grpc namespace=k8s.io code=OK in=4 out=10 ms=")
        self.assertRegex(daemon.log, r"ms=\d+\.\d{3}", line)
        self.assert_stops(daemon)


class Meddlers(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        # By name `outer` would be the last.
        self.workshop.add("meddlers", Plugin(TYPE, "inner", wants=[f"{TYPE}.outer"], init=INTERCEPT),
                          Plugin(TYPE, "outer", init=INTERCEPT), code=HOOKS)
        self.daemon = self.start()

    def hello(self, **metadata):
        with ask.channel(self.daemon.address) as channel:
            call = channel.unary_unary(HELLO, request_serializer=protos.greeter.HelloRequest.SerializeToString,
                                       response_deserializer=protos.greeter.HelloReply.FromString)
            return call.with_call(protos.greeter.HelloRequest(name="me"), timeout=30, metadata=list(metadata.items()))

    def seen(self):
        """What the two wrote, in order: [("outer", "start …"), …]."""
        return re.findall(rf"{re.escape(TYPE)}\.(inner|outer)\W+(start .*|request .*|reply .*|finish \w+)", self.daemon.log)

    def test_both_see_a_call_in_order_and_its_end_in_reverse(self):
        reply, call = self.hello()
        self.assertEqual("Hello me", reply.message)
        self.assertEqual([("passed", "inner"), ("passed", "outer")], [tuple(pair) for pair in call.trailing_metadata()])
        self.daemon.wait_for_log("finish OK")
        self.assertEqual([("outer", "start over grpc after nobody"), ("inner", "start over grpc after outer"),
                          ("outer", "request of 4"), ("inner", "request of 4"), ("inner", "reply of 10"),
                          ("outer", "reply of 10"), ("inner", "finish OK"), ("outer", "finish OK")], self.seen())

    def test_the_same_over_ttrpc(self):
        with Peer(self.daemon.address + ".ttrpc") as peer:
            peer.send(1, REQUEST, 0, request("helloworld.Greeter", "SayHello", field(1, b"me")))
            peer.read()
        self.assertEqual([("outer", "start over ttrpc after nobody"), ("inner", "start over ttrpc after outer"),
                          ("outer", "request of 4"), ("inner", "request of 4"), ("inner", "reply of 10"),
                          ("outer", "reply of 10"), ("inner", "finish OK"), ("outer", "finish OK")], self.seen())

    def test_a_refusal_is_the_answer_and_those_before_hear_of_it(self):
        with self.assertRaises(grpc.RpcError) as raised:
            self.hello(refuse="inner")
        self.assertEqual(grpc.StatusCode.PERMISSION_DENIED, raised.exception.code())
        self.assertEqual("inner says no", raised.exception.details())
        self.assertEqual([("outer", "start over grpc after nobody"), ("inner", "start over grpc after outer"),
                          ("outer", "finish PERMISSION_DENIED")], self.seen())
        with Peer(self.daemon.address + ".ttrpc") as peer:
            peer.send(1, REQUEST, 0, request("helloworld.Greeter", "SayHello", field(1, b"me"), refuse="outer"))
            self.assertEqual((7, "outer says no"), peer.status(1))

    def test_a_reply_may_be_kept_from_leaving(self):
        with self.assertRaises(grpc.RpcError) as raised:
            self.hello(hide="inner")
        self.assertEqual("that stays here", raised.exception.details())
        self.assertNotIn(("outer", "reply of 10"), self.seen())


if __name__ == "__main__":
    unittest.main()
