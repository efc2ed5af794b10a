# SPDX-License-Identifier: Apache-2.0
"""The store over a real etcd: shared, cut off, lied to, and none of it loses or doubles a change."""

import os
import socket
import subprocess
import threading
import unittest

from etcd import DRIVER, Driver, Etcd, Proxy, wait_until
from workshop import BUILD


class Case(unittest.TestCase):
    options = ()

    def setUp(self):
        self.etcd = Etcd(*self.options)
        self.addCleanup(self.etcd.remove)
        self.etcd.start()

    def launch(self, endpoints=None, **options):
        driver = Driver(endpoints or f"tcp:{self.etcd.endpoint}", **options)
        self.addCleanup(driver.kill)
        return driver

    def store(self, endpoints=None, **options):
        return self.launch(endpoints, **options).started()

    def proxy(self):
        proxy = Proxy(self.etcd.port)
        self.addCleanup(proxy.close)
        return proxy

    def assert_quits(self, *drivers):
        for driver in drivers:
            self.assertEqual(0, driver.quit(), driver.log())


class Conformance(Case):
    def test_every_rule_of_a_store_holds(self):
        done = subprocess.run([str(DRIVER.with_name("store_etcd_conformance"))], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace", timeout=240, check=False,
                              env={**os.environ, "LD_LIBRARY_PATH": f"{BUILD}/sdk/rpc",
                                   "STORE_ETCD_ENDPOINT": f"tcp:{self.etcd.endpoint}"})
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertGreater(done.stdout.count("\nok "), 30, done.stdout)


class Shared(Case):
    def test_what_one_daemon_changes_another_shows_and_hears_with_before_and_after(self):
        one, other = self.store(), self.store()
        self.assertEqual("OK ", one.change("put", "containers/default redis first"))
        self.assertEqual("OK ", one.change("put", "containers/default redis second"))
        self.assertEqual("OK ", one.change("remove", "containers/default redis"))
        other.wait_for("^change OTHER .* after=-$")
        self.assertEqual(['change OTHER containers/default redis before=- after="first"',
                          'change OTHER containers/default redis before="first" after="second"',
                          'change OTHER containers/default redis before="second" after=-'], other.find("^change"))
        self.assertEqual([], one.find("^change"))
        self.assert_quits(one, other)

    def test_keys_are_readable_and_in_the_order_of_buckets(self):
        one = self.store()
        for bucket in ("b/c", "b-c", "b", "b.c", "a"):
            self.assertEqual("OK ", one.change("put", f"{bucket} key value"))
        self.assertEqual(["a", "b", "b-c", "b.c", "b/c"], one.listing("buckets"))
        keys = self.etcd.ctl("get", "--prefix", "--keys-only", "/berth/data/").stdout.split()
        self.assertEqual([f"/berth/data/{bucket},key" for bucket in ("a", "b", "b-c", "b.c", "b/c")], keys)

    def test_two_daemons_count_together_and_lose_nothing(self):
        one, other = self.store(), self.store()
        for driver in (one, other):
            for _ in range(200):
                driver.update("add", "counters n")
        for driver in (one, other):
            driver.wait_for("^done 200 ")
            self.assertEqual(200, len(driver.find("^done [0-9]+ OK")), driver.find("^done")[:5])
        self.assertEqual("400", self.etcd.get("/berth/data/counters,n"))
        for driver in (one, other):
            wait_until(lambda: driver.ask("get counters n") == "OK 400", "both to show the sum")
        self.assert_quits(one, other)

    def test_a_refusal_is_said_only_of_what_is_committed(self):
        one, other = self.store(), self.store()
        one.change("put", "names n mine")
        self.assertEqual("ALREADY_EXISTS mine", other.change("refuse", "names n"))

    def test_who_starts_later_loads_all_of_it_page_by_page(self):
        one = self.store()
        for bucket in range(12):
            self.assertEqual("OK ", one.change("fill", f"bucket-{bucket} 100 20"))
        for bucket in range(8):
            self.assertEqual("OK ", one.change("fill", f"large-{bucket} 1 1000000"))
        other = self.store()
        self.assertEqual(20, len(other.listing("buckets")))
        self.assertEqual(100, len(other.listing("list bucket-11")))
        self.assertEqual(["key-000000 1000000"], other.listing("list large-7"))

    def test_what_is_changed_by_hand_is_told(self):
        one = self.store()
        self.etcd.ctl("put", "/berth/data/by/hand,key", "value")
        self.etcd.ctl("put", "/berth/data/no comma", "passed over")
        self.etcd.ctl("put", "/berth/elsewhere", "passed over")
        one.wait_for('^change OTHER by/hand key before=- after="value"')
        self.etcd.ctl("del", "--prefix", "/berth/")
        one.wait_for('^change OTHER by/hand key before="value" after=-')
        self.assertEqual("OK ", one.change("put", "b k v"))

    def test_who_shares_the_store_is_counted_and_gone_when_it_dies(self):
        one, other, third = self.store(), self.store(), self.store()
        one.wait_for("^export nodes 3")
        start = len(one.lines)
        other.kill()
        one.wait_for("^export nodes 2", start)
        self.assert_quits(third)
        one.wait_for("^export nodes 1", start)
        self.assertRegex(self.etcd.ctl("get", "--prefix", "/berth/nodes/").stdout, r"host=\S+ pid=\d+ version=")


class Lost(Case):
    def test_a_restarted_etcd_is_found_again_and_nothing_is_missed(self):
        one, other = self.store(), self.store(max_stale=1)
        one.change("put", "b kept before")
        self.etcd.kill()
        one.wait_for("^condition UNAVAILABLE no connection to etcd since 2.*tcp:")
        self.assertEqual("OK before", one.ask("get b kept"))
        wait_until(lambda: other.ask("get b kept").startswith("UNAVAILABLE"), "max_stale to count")
        pending = one.update("put", "b later value")
        self.etcd.start()
        self.assertEqual("OK", one.wait_for(pending).split()[2])
        one.wait_for("^condition OK")
        other.wait_for('^change OTHER b later before=- after="value"')
        self.assertEqual("OK before", other.ask("get b kept"))
        self.assert_quits(one, other)

    def test_who_waits_longer_than_commit_timeout_is_told_that_it_did_not_happen(self):
        one = self.store(commit_timeout=300)
        self.etcd.kill()
        one.wait_for("^condition UNAVAILABLE")
        self.assertRegex(one.change("put", "b k v"), "^UNAVAILABLE no connection to etcd since")
        self.etcd.start()
        one.wait_for("^condition OK")
        self.assertEqual("NOT_FOUND", one.ask("get b k").strip())
        self.assert_quits(one)

    def test_a_frozen_etcd_is_noticed_and_what_became_of_the_change_is_told_later(self):
        one = self.store(commit_timeout=1000)
        self.etcd.freeze()
        code = one.change("put", "b k v")
        self.assertRegex(code, "^UNKNOWN ")
        one.wait_for("^condition UNAVAILABLE")
        self.etcd.thaw()
        one.wait_for("^condition OK")
        self.assertEqual("OK ", one.change("put", "b other v"))
        if self.etcd.get("/berth/data/b,k") == "v":
            one.wait_for('^change OWN b k before=- after="v"')
        else:
            self.assertEqual("NOT_FOUND", one.ask("get b k").strip())
        self.assert_quits(one)

    def test_the_next_endpoint_serves_where_one_does_not(self):
        proxy = self.proxy()
        one = self.store(f"tcp:127.0.0.1:1,{proxy.endpoint},tcp:{self.etcd.endpoint}")
        self.assertTrue(one.find(f"^export endpoint {proxy.endpoint}"))
        proxy.refuses = True
        proxy.cut()
        one.wait_for(f"^export endpoint tcp:{self.etcd.endpoint}")
        self.assertEqual("OK ", one.change("put", "b k v"))

    def test_nobody_there_is_a_failed_start_with_the_reason(self):
        one = self.launch("tcp:127.0.0.1:1", dial_timeout=500)
        self.assertRegex(one.wait_for("^started"), "^started UNAVAILABLE could not load from etcd.*tcp:127.0.0.1:1: .*refused")
        self.assertEqual(1, one.process.wait())


class Answers(Case):
    def test_a_change_whose_answer_is_lost_happens_once(self):
        proxy = self.proxy()
        one, other = self.store(proxy.endpoint), self.store()
        for i in range(1, 9):
            proxy.loses_answers = True
            pending = one.update("add", "counters n")
            wait_until(lambda: self.etcd.get("/berth/data/counters,n") == str(i), f"the change {i} to happen")
            proxy.cut()
            proxy.loses_answers = False
            self.assertEqual("OK", one.wait_for(pending).split()[2])
        self.assertEqual("8", self.etcd.get("/berth/data/counters,n"))
        self.assertEqual([], one.find("^change"))
        other.wait_for('^change OTHER counters n before="7" after="8"')
        self.assertEqual(8, len(other.find("^change OTHER counters")))
        self.assert_quits(one, other)

    def test_a_change_that_never_arrived_is_sent_again(self):
        proxy = self.proxy()
        one = self.store(proxy.endpoint)
        for i in range(1, 4):
            proxy.loses_requests = True
            pending = one.update("add", "counters n")
            one.tell("get counters n")
            one.wait_for("^got")
            proxy.cut()
            proxy.loses_requests = False
            self.assertEqual("OK", one.wait_for(pending).split()[2])
            self.assertEqual(str(i), self.etcd.get("/berth/data/counters,n"))

    def test_lost_answers_of_two_daemons_that_count_together(self):
        proxy = self.proxy()
        one, other = self.store(proxy.endpoint), self.store()
        for driver in (one, other):
            for _ in range(100):
                driver.update("add", "counters n")
        for _ in range(10):
            proxy.loses_answers = True
            threading.Event().wait(0.05)
            proxy.cut()
            proxy.loses_answers = False
            threading.Event().wait(0.2)
        for driver in (one, other):
            driver.wait_for("^done 100 ")
            self.assertEqual(100, len(driver.find("^done [0-9]+ OK")), driver.find("^done")[:5])
        self.assertEqual("200", self.etcd.get("/berth/data/counters,n"))
        self.assertEqual([], one.find("^change OWN"))

    def test_one_that_ended_unknown_and_happened_is_told_as_own(self):
        proxy = self.proxy()
        one = self.store(proxy.endpoint, commit_timeout=500)
        one.change("put", "b k old")
        proxy.loses_answers = True
        self.assertRegex(one.change("put", "b k new"), "^UNKNOWN ")
        proxy.cut()
        proxy.loses_answers = False
        one.wait_for('^change OWN b k before="old" after="new"')
        self.assertEqual("OK new", one.ask("get b k"))


class Forgotten(Case):
    def away(self, driver, proxy):
        proxy.refuses = True
        proxy.cut()
        driver.wait_for("^condition UNAVAILABLE")

    def back(self, driver, proxy):
        start = len(driver.lines)
        proxy.refuses = False
        driver.wait_for("^condition OK", start)

    def test_what_was_compacted_meanwhile_is_told_as_caught_up(self):
        proxy = self.proxy()
        one, other = self.store(proxy.endpoint), self.store()
        for key in ("stays", "goes", "changes"):
            one.change("put", f"b {key} before")
        self.away(one, proxy)
        other.change("remove", "b goes")
        other.change("put", "b changes between")
        other.change("put", "b changes after")
        other.change("put", "b comes after")
        self.etcd.ctl("compact", str(self.etcd.revision()))
        self.back(one, proxy)
        self.assertEqual(['change CAUGHT_UP b changes before="before" after="after"',
                          'change CAUGHT_UP b comes before=- after="after"',
                          'change CAUGHT_UP b goes before="before" after=-'], one.find("^change"))
        self.assertEqual("OK ", one.change("put", "b works again"))

    def lose(self, one, proxy):
        """A change happens, and its answer is lost together with the connection."""
        proxy.loses_answers = True
        pending = one.update("put", "b k mine")
        wait_until(lambda: self.etcd.get("/berth/data/b,k") == "mine", "the change to happen")
        self.away(one, proxy)
        proxy.loses_answers = False
        return pending

    def test_a_change_whose_answer_is_lost_is_known_by_the_head_after_a_compaction(self):
        proxy = self.proxy()
        one = self.store(proxy.endpoint)
        pending = self.lose(one, proxy)
        self.etcd.ctl("put", "/elsewhere", "")
        self.etcd.ctl("compact", str(self.etcd.revision()))
        self.back(one, proxy)
        self.assertEqual("OK", one.wait_for(pending).split()[2])
        self.assertEqual("OK mine", one.ask("get b k"))
        self.assertEqual([], one.find("^change"))

    def test_a_change_whose_trace_is_compacted_is_unknown(self):
        proxy = self.proxy()
        one, other = self.store(proxy.endpoint), self.store()
        pending = self.lose(one, proxy)
        other.change("put", "b theirs value")
        self.etcd.ctl("compact", str(self.etcd.revision()))
        self.back(one, proxy)
        self.assertEqual("UNKNOWN", one.wait_for(pending).split()[2])
        one.wait_for('^change CAUGHT_UP b k before=- after="mine"')

    def test_an_etcd_that_lost_its_data_is_loaded_anew(self):
        one = self.store()
        one.change("put", "b k v")
        self.etcd.wipe()
        self.etcd.start()
        one.wait_for('^change CAUGHT_UP b k before="v" after=-')
        self.assertEqual("OK ", one.change("put", "b k w"))


class Limits(Case):
    options = ("--max-txn-ops", "70", "--quota-backend-bytes", str(24 << 20))

    def test_what_etcd_does_not_take_is_refused_with_its_option(self):
        one = self.store()
        self.assertRegex(one.change("fill", "b 90 1"), "^RESOURCE_EXHAUSTED .*max-txn-ops")
        self.assertEqual("OK ", one.change("fill", "b 60 1"))
        one = self.store(max_request=8 << 20, max_change=8 << 20)
        self.assertRegex(one.change("fill", "b 3 900000"), "^RESOURCE_EXHAUSTED .*max-request-bytes")
        self.assertEqual("OK ", one.change("put", "b k v"))

    def test_a_full_etcd_is_named_and_reads_go_on(self):
        one = self.store(commit_timeout=60000)
        for i in range(60):
            code = one.change("fill", f"b 1 {1000000 + i}")
            if code != "OK ":
                break
        self.assertRegex(code, "^RESOURCE_EXHAUSTED etcd is full")
        self.assertEqual(1, len(one.listing("list b")))
        self.assertFalse(one.find("^condition UNAVAILABLE"), one.log())
        one.wait_for("^condition RESOURCE_EXHAUSTED etcd is full")
        other = self.store()
        other.wait_for("^condition RESOURCE_EXHAUSTED etcd is full")
        for driver in (one, other):
            self.assertRegex(driver.change("put", "b k v"), "^RESOURCE_EXHAUSTED etcd is full")
            self.assertEqual(1, len(driver.find("^condition")), driver.log())
        self.make_space()
        for driver in (one, other):
            driver.wait_for("^condition OK")
        self.assertEqual("OK ", one.change("put", "b k v"))
        self.assertEqual(2, len(one.find("^condition")), one.log())

    def make_space(self):
        self.etcd.ctl("compact", str(self.etcd.revision()))
        self.etcd.ctl("defrag")
        self.etcd.ctl("alarm", "disarm")

    def test_a_mirror_that_is_nearly_full_is_reported_until_it_is_not(self):
        one = self.store(max_mirror=300000)
        self.assertEqual("OK ", one.change("fill", "b 1 200000"))
        self.assertFalse(one.find("^condition"), one.log())
        self.assertEqual("OK ", one.change("fill", "c 1 50000"))
        one.wait_for("^condition RESOURCE_EXHAUSTED .*max_mirror")
        self.assertEqual("OK ", one.change("put", "d k v"))
        self.assertEqual("OK ", one.change("remove", "d k"))
        self.assertEqual(1, len(one.find("^condition")), one.log())
        self.assertEqual("OK ", one.change("remove", "b key-000000"))
        one.wait_for("^condition OK")

    def test_more_than_max_mirror_is_refused_here_and_not_loaded_there(self):
        one = self.store(max_mirror=300000)
        self.assertEqual("OK ", one.change("fill", "b 1 200000"))
        self.assertRegex(one.change("fill", "c 1 200000"), "^RESOURCE_EXHAUSTED the store has 1 entries.*max_mirror")
        self.assertEqual("OK ", one.change("remove", "b key-000000"))
        self.assertEqual("OK ", one.change("fill", "c 1 200000"))
        other = self.launch(max_mirror=100000, dial_timeout=2000)
        self.assertRegex(other.wait_for("^started"), "^started UNAVAILABLE .*max_mirror")


class Users(Case):
    def setUp(self):
        super().setUp()
        for words in ("user add root:secret", "user grant-role root root", "role add berth",
                      "role grant-permission --prefix=true berth readwrite /berth/", "user add berth:pass",
                      "user grant-role berth berth", "auth enable"):
            self.etcd.ctl(*words.split())

    def test_a_user_with_a_password_is_let_in_and_others_are_not(self):
        one = self.store(user="berth", password="pass")
        self.assertEqual("OK ", one.change("put", "b k v"))
        other = self.launch(user="berth", password="wrong", dial_timeout=1500)
        self.assertRegex(other.wait_for("^started"), "^started UNAVAILABLE .*as user berth: .*authentication failed")
        self.etcd.ctl(*"role grant-permission --prefix=true berth read /berth/".split(), user="root:secret")
        for _ in range(2):
            self.assertRegex(one.change("put", "b k v"), "^UNAVAILABLE the etcd user may not write")
        self.assertEqual(1, len(one.find("^condition")), one.log())
        one.wait_for("^condition UNAVAILABLE the etcd user may not write")
        self.etcd.ctl(*"role grant-permission --prefix=true berth readwrite /berth/".split(), user="root:secret")
        self.assertEqual("OK ", one.change("put", "b k v"))
        one.wait_for("^condition OK")
        third = self.launch(dial_timeout=1500)
        self.assertRegex(third.wait_for("^started"), "^started UNAVAILABLE .*user name is empty")


class Ways(unittest.TestCase):
    """Other ways to etcd than TCP in clear."""

    def setUp(self):
        self.etcd = Etcd()
        self.addCleanup(self.etcd.remove)

    def launch(self, endpoints, **options):
        driver = Driver(endpoints, **options)
        self.addCleanup(driver.kill)
        return driver

    def test_a_unix_socket(self):
        path = self.etcd.listen_on_a_socket()
        self.etcd.start()
        one = self.launch(f"unix:{path}").started()
        self.assertEqual("OK ", one.change("put", "b k v"))

    def test_tls_with_a_certificate_of_each_side(self):
        self.etcd.demand_certificates()
        self.etcd.start()
        one = self.launch(f"tcp:{self.etcd.endpoint}", tls=self.etcd.folder).started()
        self.assertEqual("OK ", one.change("put", "b k v"))
        other = self.launch(f"tcp:{self.etcd.endpoint}", dial_timeout=1000)
        self.assertRegex(other.wait_for("^started"), "^started UNAVAILABLE")


class Garbage(unittest.TestCase):
    """Servers that are no etcd."""

    def serve(self, talk):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        self.addCleanup(listener.shutdown, socket.SHUT_RDWR)

        def accept():
            while True:
                try:
                    client, _ = listener.accept()
                    with client:
                        talk(client)
                except OSError:
                    if listener.fileno() < 0:
                        return

        threading.Thread(target=accept, daemon=True).start()
        return f"tcp:127.0.0.1:{listener.getsockname()[1]}"

    def assert_refused(self, talk):
        driver = Driver(self.serve(talk), dial_timeout=700)
        self.addCleanup(driver.kill)
        self.assertRegex(driver.wait_for("^started"), "^started UNAVAILABLE could not load from etcd")
        self.assertEqual(1, driver.process.wait(), driver.log())
        self.assertNotIn("anitizer", driver.log())

    def test_one_that_says_nothing(self):
        self.assert_refused(lambda client: client.recv(1) and threading.Event().wait(1))

    def test_one_that_closes(self):
        self.assert_refused(lambda client: None)

    def test_one_that_speaks_http_1(self):
        self.assert_refused(lambda client: client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))

    def test_one_that_speaks_noise(self):
        self.assert_refused(lambda client: client.sendall(bytes(range(256)) * 64))


if __name__ == "__main__":
    unittest.main()
