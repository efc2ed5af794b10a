# SPDX-License-Identifier: Apache-2.0
"""The Connect protocol on the HTTP server: every rule of it, and what bad input gets, by a bare client."""

import base64
import gzip
import json
import re
import socket
import subprocess
import time
import unittest
import urllib.parse
import zlib

from connect_client import JSON, PROTO, STREAM_JSON, STREAM_PROTO, Client, envelope, split, unpadded
from daemon import PATIENCE
from interop_daemon import Berthd

HTTP = "io.berth.server.v1.http"
PEER = "/berth.interop.v1.Peer"
TEST = "/grpc.testing.TestService"
STREAMING = "/ttrpc.integration.streaming.Streaming"
GREETER = "/helloworld.Greeter"
# By code: name and HTTP status.
CODES = {1: ("canceled", 499), 2: ("unknown", 500), 3: ("invalid_argument", 400), 4: ("deadline_exceeded", 504),
         5: ("not_found", 404), 6: ("already_exists", 409), 7: ("permission_denied", 403), 8: ("resource_exhausted", 429),
         9: ("failed_precondition", 400), 10: ("aborted", 409), 11: ("out_of_range", 400), 12: ("unimplemented", 501),
         13: ("internal", 500), 14: ("unavailable", 503), 15: ("data_loss", 500), 16: ("unauthenticated", 401)}


def port_of(berthd):
    return int(re.search(HTTP + r".*listening address=127\.0\.0\.1:(\d+)", berthd.daemon.log)[1])


class Case(unittest.TestCase):
    """One daemon for all tests of a class."""

    maxDiff = None
    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.berthd = Berthd(servers={HTTP: {"address": "127.0.0.1:0", **cls.settings}})
        cls.addClassCleanup(cls.berthd.stop)
        cls.client = Client(port_of(cls.berthd))

    def assert_error(self, answer, code, text=""):
        self.assertEqual(JSON, answer.field("content-type"), answer.body)
        self.assertEqual((code, dict(CODES.values())[code]), (answer.error()[0], answer.status), answer.body)
        self.assertIn(text, answer.error()[1])

    def assert_end(self, answer, code, text=""):
        """A stream's error."""
        self.assertEqual(200, answer.status)
        error = answer.end()["error"]
        self.assertEqual(code, error["code"], error)
        self.assertIn(text, error.get("message", ""))


class Unary(Case):
    def test_json_and_proto(self):
        answer = self.client.post(f"{GREETER}/SayHello", {"name": "Ann"})
        self.assertEqual((200, JSON, {"message": "Hello Ann"}), (answer.status, answer.field("content-type"), answer.json()))
        answer = self.client.post(f"{GREETER}/SayHello", b"\x0a\x03Ann", PROTO)
        self.assertEqual((200, PROTO, b"\x0a\x09Hello Ann"), (answer.status, answer.field("content-type"), answer.body))
        self.assertEqual(b"\x0a\x06Hello ", self.client.post(f"{GREETER}/SayHello", b"", PROTO).body)
        self.assertEqual({"message": "Hello "}, self.client.post(f"{GREETER}/SayHello", {"later": [1]}).json())

    def test_curl_as_people_type_it(self):
        done = subprocess.run(["curl", "-sS", "-d", '{"name":"Ann"}', "-H", "content-type: application/json",
                               f"http://localhost:{self.client.port}{GREETER}/SayHello"], capture_output=True, text=True, check=True)
        self.assertEqual({"message": "Hello Ann"}, json.loads(done.stdout))
        done = subprocess.run(["curl", "-sS", "-i", "-d", "name=Ann", f"http://localhost:{self.client.port}{GREETER}/SayHello"],
                              capture_output=True, text=True, check=True)
        self.assertIn("HTTP/1.1 415 Unsupported Media Type", done.stdout)
        self.assertIn("Accept-Post: application/json, application/proto", done.stdout)

    def test_each_code_has_its_name_its_status_and_its_details(self):
        for number, (name, status) in CODES.items():
            message = f"it is <{number}>\u00e4"
            answer = self.client.post(f"{PEER}/Fail", {"text": message, "number": number})
            self.assertEqual((status, JSON, (name, message)), (answer.status, answer.field("content-type"), answer.error()))
            (detail,) = answer.json()["details"]
            self.assertEqual("berth.interop.v1.Message", detail["type"])
            self.assertNotIn("=", detail["value"])
            packed = base64.b64decode(detail["value"] + "=" * (-len(detail["value"]) % 4))
            text = message.encode()
            self.assertEqual(b"\x0a" + bytes([len(text)]) + text + b"\x10" + bytes([number]), packed)
        answer = self.client.post(f"{PEER}/Fail", b"\x0a\x02no\x10\x05", PROTO)
        self.assertEqual((404, JSON, ("not_found", "no")), (answer.status, answer.field("content-type"), answer.error()))

    def test_foreign_content_types_get_415_and_what_would_be_taken(self):
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/grpc",
                     "application/grpc+json", STREAM_JSON, STREAM_PROTO, "application/jsonx", "application/json; charset=latin1",
                     "application/proto; a=b", "application/", "", "application/json, application/json"):
            answer = self.client.post(f"{GREETER}/SayHello", {"name": "Ann"}, kind)
            self.assertEqual((415, "application/json, application/proto"), (answer.status, answer.field("accept-post")), kind)
        for kind in (JSON, "Application/JSON", "application/json;charset=utf-8", 'application/json ; charset="UTF-8" '):
            self.assertEqual(200, self.client.post(f"{GREETER}/SayHello", {"name": "Ann"}, kind).status, kind)
        for kind in (JSON, PROTO, "application/grpc-web"):
            answer = self.client.post(f"{GREETER}/SpellHello", {"name": "Ann"}, kind)
            self.assertEqual((415, "application/connect+json, application/connect+proto"), (answer.status, answer.field("accept-post")))
        # Before the body is there.
        head = f"POST {GREETER}/SayHello HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 1000000\r\n\r\n"
        self.assertIn(b"HTTP/1.1 415", self.client.raw(head.encode()))

    def test_paths_and_methods(self):
        for path in (f"{GREETER}/Unknown", "/helloworld.Unknown/SayHello", GREETER, f"{GREETER}/", f"{GREETER}/SayHello/x",
                     "/grpc.health.v1.Health/Check", f"/x{GREETER}/SayHello"):
            self.assertEqual(404, self.client.post(path, {}).status, path)
        self.assertEqual(200, self.client.post("/helloworld.Greeter/Say%48ello", {}).status)
        for verb in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
            answer = self.client.request(verb, f"{GREETER}/SayHello?encoding=json&message={{}}")
            self.assertEqual((405, "POST"), (answer.status, answer.field("allow")), verb)
        answer = self.client.request("PUT", f"{PEER}/Echo")
        self.assertEqual((405, "GET,POST"), (answer.status, answer.field("allow").replace(" ", "")))

    def test_bidirectional_methods_get_505_before_their_body_ends(self):
        head = f"POST {TEST}/FullDuplexCall HTTP/1.1\r\nHost: localhost\r\nContent-Type: {STREAM_JSON}\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = self.client.raw(head.encode(), b"7\r\n" + envelope({}) + b"\r\n")
        self.assertIn(b"HTTP/1.1 505 HTTP Version Not Supported", answer)
        self.assertIn(b"Connection: close", answer)

    def test_metadata_of_both_kinds_goes_there_and_back(self):
        answer = self.client.post(f"{TEST}/UnaryCall", {}, x_grpc_test_echo_initial="one, two",
                                  x_grpc_test_echo_trailing_bin=unpadded(b"\xab\xab\xab\xab"))
        self.assertEqual("one, two", answer.field("x-grpc-test-echo-initial"))
        self.assertEqual("q6urqw", answer.field("trailer-x-grpc-test-echo-trailing-bin"))
        padded = self.client.post(f"{TEST}/UnaryCall", {}, x_grpc_test_echo_trailing_bin="q6urqw==")
        self.assertEqual("q6urqw", padded.field("trailer-x-grpc-test-echo-trailing-bin"))
        for name in ("user-agent", "authorization", "x-own"):
            self.assertEqual({"text": "a b", "number": 1}, self.client.post(f"{PEER}/Metadata", {"text": name}, **{name: "a b"}).json())
        for name in ("host", "content-type", "content-length", "accept-encoding", "connect-timeout-ms", "grpc-timeout"):
            self.assertEqual({}, self.client.post(f"{PEER}/Metadata", {"text": name}, connect_timeout_ms="60000", grpc_timeout="1S").json())
        bad = self.client.post(f"{TEST}/UnaryCall", {}, x_a_bin="%%%")
        self.assert_error(bad, "invalid_argument", 'malformed binary metadata in header "x-a-bin"')

    def test_deadlines(self):
        self.assertEqual({"number": -1}, self.client.post(f"{PEER}/Deadline", {}).json())
        left = self.client.post(f"{PEER}/Deadline", {}, connect_timeout_ms="9999999999").json()["number"]
        self.assertNotEqual(-1, left)
        left = self.client.post(f"{PEER}/Deadline", {}, connect_timeout_ms="60000").json()["number"]
        self.assertTrue(30_000 < left <= 60_000, left)
        started = time.monotonic()
        answer = self.client.post(f"{PEER}/Wait", {"number": 60_000}, connect_timeout_ms="100")
        self.assert_error(answer, "deadline_exceeded", "deadline exceeded")
        self.assertLess(time.monotonic() - started, 30)
        self.assert_error(self.client.post(f"{PEER}/Wait", {}, connect_timeout_ms="0"), "deadline_exceeded")
        for bad in ("", "-1", "+1", "1.5", "1s", "1e3", "12345678901", "00000000001", "x", " 1 1"):
            answer = self.client.post(f"{PEER}/Echo", {}, connect_timeout_ms=bad)
            self.assert_error(answer, "invalid_argument", f'malformed connect-timeout-ms "{bad.strip()}"')

    def test_the_version_of_the_protocol(self):
        self.assertEqual(200, self.client.post(f"{PEER}/Echo", {}, connect_protocol_version="1").status)
        for bad in ("2", "v1", ""):
            self.assert_error(self.client.post(f"{PEER}/Echo", {}, connect_protocol_version=bad), "invalid_argument",
                              'connect-protocol-version must be "1"')

    def test_json_that_is_none_says_where(self):
        for text in (b"", b"{", b"[]", b"{\"text\": 1}", b"{\"number\": \"x\"}", b"\xff", b"{\"text\": \"\xff\"}", b"nul", b"{} {}",
                     b"[" * 10_000, b"{\"text\":" * 10_000, b"{\"number\": 99999999999}"):
            self.assert_error(self.client.post(f"{PEER}/Echo", text), "invalid_argument", "berth.interop.v1.Message")
        self.assert_error(self.client.post(f"{PEER}/Echo", b"\x0a\xff", PROTO), "internal", "not a valid berth.interop.v1.Message")
        self.assertEqual({"text": "ok"}, self.client.post(f"{PEER}/Echo", {"text": "ok"}).json())

    def test_a_body_over_the_limit_gets_413_and_a_reply_over_it_an_error(self):
        self.assertEqual(413, self.client.post(f"{PEER}/Echo", b" " * (5 << 20)).status)
        self.assert_error(self.client.post(f"{PEER}/Grow", {"number": 17 << 20}), "invalid_argument", "max_payload")
        large = self.client.post(f"{PEER}/Grow", {"number": 6 << 20})
        self.assertEqual(6 << 20, len(large.json()["text"]))


class Get(Case):
    def get(self, query, **fields):
        return self.client.request("GET", f"{PEER}/Echo?{query}", {name.replace("_", "-"): value for name, value in fields.items()})

    def test_a_method_without_side_effects(self):
        message = urllib.parse.quote('{"text": "a+b & c"}')
        for query in (f"connect=v1&encoding=json&message={message}", f"message={message}&encoding=json", f"encoding=json&x=y&message={message}&z"):
            answer = self.get(query)
            self.assertEqual((200, JSON, {"text": "a+b & c"}), (answer.status, answer.field("content-type"), answer.json()), query)
            self.assertEqual("Accept-Encoding", answer.field("vary"))
        encoded = base64.urlsafe_b64encode(b"\x0a\x04\xf0\x9f\x8c\xb1").decode()
        for text in (encoded.rstrip("="), urllib.parse.quote(encoded)):
            answer = self.get(f"connect=v1&base64=1&encoding=proto&message={text}")
            self.assertEqual((200, PROTO, b"\x0a\x04\xf0\x9f\x8c\xb1"), (answer.status, answer.field("content-type"), answer.body))
        packed = base64.urlsafe_b64encode(gzip.compress(b'{"text": "packed"}')).decode()
        self.assertEqual({"text": "packed"}, self.get(f"encoding=json&base64=1&compression=gzip&message={packed.rstrip('=')}").json())
        self.assertEqual({}, self.get("encoding=proto&message=&compression=identity").body and {} or {})
        self.assertEqual(b"", self.client.request("HEAD", f"{PEER}/Echo?encoding=json&message={message}").body)

    def test_bad_queries(self):
        for query in ("", "message={}", "encoding=&message={}", "encoding=xml&message={}", "encoding=jsonx", "encoding=" + "json" * 100):
            answer = self.get(query)
            self.assertEqual((415, "application/json, application/proto"), (answer.status, answer.field("accept-post")), query)
        answer = self.client.request("GET", f"{PEER}/Echo?encoding=json&message={{}}", body=b"x")
        self.assertEqual(415, answer.status)
        for query, code, text in (("encoding=json", "invalid_argument", "no parameter message"),
                                  ("encoding=json&message={}&connect=v2", "invalid_argument", 'must be "v1", not "v2"'),
                                  ("encoding=json&message={}&connect=" + "v" * 500, "invalid_argument", 'must be "v1"'),
                                  ("encoding=json&message=%2", "invalid_argument", "berth.interop.v1.Message"),
                                  ("encoding=json&message=*&base64=1", "invalid_argument", "not base64"),
                                  ("encoding=json&message={}&compression=br", "unimplemented", "supported encodings are identity,deflate,gzip"),
                                  ("encoding=json&message={}&compression=" + "x" * 500, "unimplemented", "supported encodings"),
                                  ("encoding=json&message=abcd&base64=1&compression=gzip", "invalid_argument", "decompress")):
            self.assert_error(self.get(query), code, text)
        self.assert_error(self.get("encoding=json&message={}", connect_timeout_ms="x"), "invalid_argument", "connect-timeout-ms")


class Streams(Case):
    def test_server_stream(self):
        answer = self.client.stream(f"{GREETER}/SpellHello", {"name": "Ann"})
        self.assertEqual((200, STREAM_JSON), (answer.status, answer.field("content-type")))
        self.assertEqual([{"message": letter} for letter in "Ann"], answer.messages())
        self.assertEqual({}, answer.end())
        answer = self.client.stream(f"{GREETER}/SpellHello", envelope(b"\x0a\x02Al"), kind=STREAM_PROTO)
        self.assertEqual(STREAM_PROTO, answer.field("content-type"))
        self.assertEqual([b"\x0a\x01A", b"\x0a\x01l"], [text for _, text in answer.envelopes()[:-1]])
        self.assertEqual({}, answer.end())

    def test_client_stream(self):
        answer = self.client.stream(f"{STREAMING}/SumStream", *({"add": i} for i in range(1, 101)))
        self.assertEqual(([{"sum": 5050, "num": 100}], {}), (answer.messages(), answer.end()))
        answer = self.client.stream(f"{STREAMING}/SumStream")
        self.assertEqual(([{}], {}), (answer.messages(), answer.end()))

    def test_errors_and_trailers_come_in_the_last_envelope(self):
        answer = self.client.stream(f"{TEST}/StreamingOutputCall", {"responseParameters": [{"size": 3}]}, x_grpc_test_echo_initial="a",
                                    x_grpc_test_echo_trailing_bin="q6s")
        self.assertEqual("a", answer.field("x-grpc-test-echo-initial"))
        self.assertIsNone(answer.field("trailer-x-grpc-test-echo-trailing-bin"))
        self.assertEqual({"metadata": {"x-grpc-test-echo-trailing-bin": ["q6s"]}}, answer.end())
        self.assertEqual(1, len(answer.messages()))
        answer = self.client.stream(f"{TEST}/StreamingOutputCall", {"responseStatus": {"code": 7, "message": "no way"}},
                                    x_grpc_test_echo_trailing_bin="q6s")
        self.assertEqual({"error": {"code": "permission_denied", "message": "no way"}, "metadata": {"x-grpc-test-echo-trailing-bin": ["q6s"]}},
                         answer.end())
        self.assert_end(self.client.stream(f"{GREETER}/SpellHello", {"name": "x" * 5000}), "invalid_argument", "max_name")

    def test_what_is_wrong_ahead_of_the_messages(self):
        path = f"{GREETER}/SpellHello"
        self.assert_end(self.client.stream(path, {}, connect_timeout_ms="x"), "invalid_argument", "malformed connect-timeout-ms")
        self.assert_end(self.client.stream(path, {}, connect_protocol_version="2"), "invalid_argument", "connect-protocol-version")
        self.assert_end(self.client.stream(path, {}, connect_content_encoding="br"), "unimplemented", "identity,deflate,gzip")
        self.assert_end(self.client.stream(path, {}, content_encoding="gzip"), "unimplemented", "connect-content-encoding")
        self.assert_end(self.client.stream(path, {}, connect_timeout_ms="0"), "deadline_exceeded")

    def test_envelopes(self):
        path = f"{GREETER}/SpellHello"
        whole = envelope({"name": "Ann"})
        for cut in (1, 4, 5, 6, len(whole) - 1):
            self.assert_end(self.client.stream(path, whole[:cut]), "invalid_argument", "ends inside an envelope")
            self.assert_end(self.client.stream(f"{STREAMING}/SumStream", envelope({"add": 1}), whole[:cut]), "invalid_argument",
                            "ends inside an envelope")
        for flags in (2, 3, 4, 128, 255):
            self.assert_end(self.client.stream(path, envelope({}, flags)), "invalid_argument", "flags other than 0 and 1")
        self.assert_end(self.client.stream(path, envelope({}, 1)), "invalid_argument", "without connect-content-encoding")
        self.assert_end(self.client.stream(path, b"\0\xff\xff\xff\xff{}"), "resource_exhausted", "larger than max (4294967295 vs. 4194304)")
        self.assert_end(self.client.stream(path), "internal")
        self.assert_end(self.client.stream(path, {}, {}), "internal")
        self.assert_end(self.client.stream(path, envelope(b"{")), "invalid_argument", "helloworld.HelloRequest")
        self.assert_end(self.client.stream(path, envelope(b"[" * 10_000)), "invalid_argument", "helloworld.HelloRequest")

    def test_a_deadline_ends_a_stream_behind_what_was_sent(self):
        request = {"responseParameters": [{"size": 1}, {"size": 1, "intervalUs": 60_000_000}]}
        answer = self.client.stream(f"{TEST}/StreamingOutputCall", request, connect_timeout_ms="300")
        self.assertEqual(1, len(answer.messages()))
        self.assert_end(answer, "deadline_exceeded", "deadline exceeded")

    def test_messages_leave_at_once_and_a_client_that_goes_ends_the_call(self):
        body = envelope({"responseParameters": [{"size": 5}, {"size": 1, "intervalUs": 600_000_000}]})
        head = f"POST {TEST}/StreamingOutputCall HTTP/1.1\r\nHost: localhost\r\nContent-Type: {STREAM_JSON}\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.client.port)) as peer:
            peer.settimeout(PATIENCE)
            peer.sendall(head.encode() + body)
            data = b""
            while b'"body"' not in data:
                data += peer.recv(4096)
            self.assertRegex(self.berthd.daemon.ctl("connections").stdout, r"http/\d+ +127.0.0.1:\d+ +\S+ +1 ")
        end = time.monotonic() + PATIENCE
        while "http/" in self.berthd.daemon.ctl("connections").stdout:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_a_client_that_does_not_read_holds_a_bounded_amount_and_gets_it_all(self):
        count, size = 60, 300_000
        body = envelope({"responseParameters": [{"size": size}] * count})
        head = f"POST {TEST}/StreamingOutputCall HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {STREAM_JSON}\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.client.port)) as peer:
            peer.settimeout(PATIENCE)
            peer.sendall(head.encode() + body)
            time.sleep(1)
            data = b""
            while more := peer.recv(1 << 16):
                data += more
        head, _, chunked = data.partition(b"\r\n\r\n")
        plain = b""
        while chunked:
            length, _, chunked = chunked.partition(b"\r\n")
            plain += chunked[:int(length, 16)]
            chunked = chunked[int(length, 16) + 2:]
        envelopes = split(plain)
        self.assertEqual(count + 1, len(envelopes))
        self.assertEqual((2, b"{}"), envelopes[-1])
        self.assertTrue(all(len(text) > size for _, text in envelopes[:-1]))


class Compression(Case):
    def test_requests(self):
        text = json.dumps({"name": "Ann" * 100}).encode()
        for name, data in (("gzip", gzip.compress(text)), ("deflate", zlib.compress(text)), ("identity", text)):
            self.assertEqual({"message": "Hello " + "Ann" * 100}, self.client.post(f"{GREETER}/SayHello", data, content_encoding=name).json())
        for name, data in (("gzip", gzip.compress(text)), ("deflate", zlib.compress(text))):
            answer = self.client.stream(f"{GREETER}/SpellHello", envelope(data, 1), connect_content_encoding=name)
            self.assertEqual((300, {}), (len(answer.messages()), answer.end()))
        # Nothing to decompress.
        self.assertEqual(b"\x0a\x06Hello ", self.client.post(f"{GREETER}/SayHello", b"", PROTO, content_encoding="gzip").body)
        self.assertEqual(200, self.client.post(f"{TEST}/UnaryCall", gzip.compress(b'{"expectCompressed": {"value": true}}'),
                                               content_encoding="gzip").status)

    def test_bad_ones(self):
        path = f"{GREETER}/SayHello"
        for name in ("br", "zstd", "x-gzip", "gzip, gzip", "GZIP"):
            self.assert_error(self.client.post(path, {}, content_encoding=name), "unimplemented", "supported encodings are identity,deflate,gzip")
        for data in (b"{}", gzip.compress(b"{}")[:-1], gzip.compress(b"{}") + b"x"):
            self.assert_error(self.client.post(path, data, content_encoding="gzip"), "invalid_argument", "decompress")
            self.assert_end(self.client.stream(f"{GREETER}/SpellHello", envelope(data, 1), connect_content_encoding="gzip"),
                            "invalid_argument", "decompress")
        bomb = gzip.compress(b" " * (64 << 20))
        self.assert_error(self.client.post(path, bomb, content_encoding="gzip"), "resource_exhausted", "when decompressed")
        self.assert_end(self.client.stream(f"{GREETER}/SpellHello", envelope(bomb, 1), connect_content_encoding="gzip"),
                        "resource_exhausted", "when decompressed")

    def test_responses_only_where_the_handler_asks(self):
        answer = self.client.post(f"{TEST}/UnaryCall", {"responseSize": 5000}, accept_encoding="gzip")
        self.assertIsNone(answer.field("content-encoding"))
        asked = {"responseSize": 5000, "responseCompressed": {"value": True}}
        answer = self.client.post(f"{TEST}/UnaryCall", asked, accept_encoding="gzip")
        self.assertEqual("gzip", answer.field("content-encoding"))
        self.assertIn("payload", json.loads(gzip.decompress(answer.body)))
        for accepted in ("br", "identity", "gzip;q=0, deflate; q=0.0", "", "identity, gzip"):
            answer = self.client.post(f"{TEST}/UnaryCall", asked, accept_encoding=accepted)
            self.assertIsNone(answer.field("content-encoding"), accepted)
            self.assertIn("payload", answer.json())


class AlwaysCompressed(Case):
    settings = {"compression": "always"}

    def test_responses(self):
        answer = self.client.post(f"{GREETER}/SayHello", {"name": "x" * 1000}, accept_encoding="br, deflate;q=0.5, gzip")
        self.assertEqual("deflate", answer.field("content-encoding"))
        self.assertEqual({"message": "Hello " + "x" * 1000}, json.loads(zlib.decompress(answer.body)))
        self.assertIsNone(self.client.post(f"{GREETER}/SayHello", {}, accept_encoding="gzip").field("content-encoding"))
        # As the request was.
        answer = self.client.post(f"{GREETER}/SayHello", gzip.compress(json.dumps({"name": "x" * 1000}).encode()), content_encoding="gzip",
                                  accept_encoding="")
        self.assertIsNone(answer.field("content-encoding"))
        answer = self.client.stream(f"{TEST}/StreamingOutputCall", {"responseParameters": [{"size": 1000, "compressed": {"value": True}}, {"size": 1000}]},
                                    connect_accept_encoding="gzip")
        self.assertEqual("gzip", answer.field("connect-content-encoding"))
        (first, packed), (second, plain), (last, _) = answer.envelopes()
        self.assertEqual((1, 0, 2), (first, second, last & 2))
        self.assertIn("payload", json.loads(gzip.decompress(packed)))
        self.assertIn("payload", json.loads(plain))


class NeverCompressed(Case):
    settings = {"compression": "never"}

    def test_neither_way(self):
        self.assert_error(self.client.post(f"{GREETER}/SayHello", gzip.compress(b"{}"), content_encoding="gzip"), "unimplemented",
                          "supported encodings are identity")
        asked = {"responseSize": 5000, "responseCompressed": {"value": True}}
        self.assertIsNone(self.client.post(f"{TEST}/UnaryCall", asked, accept_encoding="gzip").field("content-encoding"))


ORIGIN = "https://app.example:8443"


class Cors(Case):
    settings = {"cors_origins": [ORIGIN, "http://localhost:3000"], "cors_headers": ["authorization", "x-own"], "cors_max_age": "90s"}

    def ask(self, path=f"{GREETER}/SayHello", origin=ORIGIN, verb="POST", headers="content-type,connect-protocol-version"):
        fields = {"origin": origin, "access-control-request-method": verb, "access-control-request-headers": headers}
        return self.client.request("OPTIONS", path, {name: value for name, value in fields.items() if value is not None})

    def test_preflight(self):
        answer = self.ask()
        self.assertEqual((204, ORIGIN, "POST", "90"), (answer.status, answer.field("access-control-allow-origin"),
                                                       answer.field("access-control-allow-methods"), answer.field("access-control-max-age")))
        self.assertEqual("content-type, connect-protocol-version", answer.field("access-control-allow-headers"))
        self.assertIn("Origin", answer.field("vary"))
        self.assertIsNone(answer.field("access-control-allow-credentials"))
        self.assertEqual("GET, POST", self.ask(f"{PEER}/Echo").field("access-control-allow-methods"))
        self.assertEqual("x-own, Content-Type", self.ask(headers="x-own, x-foreign, cookie, Content-Type").field("access-control-allow-headers"))
        self.assertIsNone(self.ask(headers=None).field("access-control-allow-headers"))

    def test_foreign_origins_get_nothing(self):
        for origin in ("https://app.example", "https://app.example:8443/", "https://app.example:84430", "http://app.example:8443", "null", "*", "",
                       "https://app.example:8443.evil.example", "https://APP.example:8443", f"{ORIGIN}, {ORIGIN}", None):
            answer = self.ask(origin=origin)
            self.assertEqual((403, None), (answer.status, answer.field("access-control-allow-origin")), origin)
            fields = {} if origin is None else {"origin": origin}
            answer = self.client.post(f"{GREETER}/SayHello", {}, **fields)
            self.assertEqual((200, None, "Origin"), (answer.status, answer.field("access-control-allow-origin"), answer.field("vary")), origin)
        self.assertEqual(403, self.ask(verb=None).status)
        self.assertEqual(404, self.ask("/nothing").status)

    def test_what_a_page_may_read(self):
        answer = self.client.post(f"{TEST}/UnaryCall", {}, origin=ORIGIN, x_grpc_test_echo_initial="a", x_grpc_test_echo_trailing_bin="q6s")
        self.assertEqual(ORIGIN, answer.field("access-control-allow-origin"))
        self.assertEqual("x-grpc-test-echo-initial, trailer-x-grpc-test-echo-trailing-bin", answer.field("access-control-expose-headers"))
        answer = self.client.post(f"{PEER}/Fail", {"number": 5}, origin="http://localhost:3000")
        self.assertEqual((404, "http://localhost:3000"), (answer.status, answer.field("access-control-allow-origin")))
        answer = self.client.stream(f"{GREETER}/SpellHello", {"name": "A"}, origin=ORIGIN)
        self.assertEqual((ORIGIN, {}), (answer.field("access-control-allow-origin"), answer.end()))


class NoCors(Case):
    def test_it_is_off(self):
        answer = self.client.request("OPTIONS", f"{GREETER}/SayHello", {"origin": ORIGIN, "access-control-request-method": "POST"})
        self.assertEqual((405, None), (answer.status, answer.field("access-control-allow-origin")))
        answer = self.client.post(f"{GREETER}/SayHello", {}, origin=ORIGIN)
        self.assertEqual((200, None, None), (answer.status, answer.field("access-control-allow-origin"), answer.field("vary")))


class Smuggling(Case):
    def test_a_request_is_one_request(self):
        hidden = f"POST {GREETER}/SayHello HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\nContent-Length: 2\r\n\r\n{{}}"
        base = f"POST {GREETER}/SayHello HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\n"
        for fields in ("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 2\r\nContent-Length: 3\r\n",
                       "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding : chunked\r\n", "Content-Length: +2\r\n"):
            answer = self.client.raw((base + fields + "\r\n{}" + hidden).encode())
            self.assertEqual(1, answer.count(b"HTTP/1.1 "), answer)
            self.assertRegex(answer, rb"^HTTP/1\.1 (400|501) ")
        # Two that are two, and what is refused by its type takes what is behind it along.
        whole = base + "Content-Length: 2\r\n\r\n{}"
        answer = self.client.raw((whole + hidden.replace("Host:", "Connection: close\r\nHost:")).encode())
        self.assertEqual(2, answer.count(b'{"message":"Hello "}'), answer)
        foreign = base.replace(JSON, "text/plain") + "Content-Length: 2\r\n\r\n{}"
        self.assertEqual(1, self.client.raw((foreign + hidden).encode()).count(b"HTTP/1.1 "))


class Stop(unittest.TestCase):
    def test_calls_in_flight_are_told(self):
        berthd = Berthd(servers={HTTP: {"address": "127.0.0.1:0"}})
        port = port_of(berthd)
        body = envelope({"responseParameters": [{"size": 5}, {"size": 1, "intervalUs": 600_000_000}]})
        stream = f"POST {TEST}/StreamingOutputCall HTTP/1.1\r\nHost: localhost\r\nContent-Type: {STREAM_JSON}\r\nContent-Length: {len(body)}\r\n\r\n"
        unary = f"POST {PEER}/Wait HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\nContent-Length: 17\r\n\r\n" + '{"number": 90000}'
        with socket.create_connection(("127.0.0.1", port)) as one, socket.create_connection(("127.0.0.1", port)) as two:
            one.sendall(stream.encode() + body)
            two.sendall(unary.encode())
            time.sleep(0.5)
            berthd.stop()
            answers = []
            for peer in (one, two):
                peer.settimeout(PATIENCE)
                data = b""
                while more := peer.recv(65536):
                    data += more
                answers.append(data)
        self.assertIn(b'{"error":{"code":"unavailable"', answers[0])
        self.assertTrue(answers[0].endswith(b"0\r\n\r\n"), answers[0])
        self.assertIn(b"HTTP/1.1 503 ", answers[1])
        self.assertIn(b'{"code":"unavailable"', answers[1])
