"""Who may write what: the sections [client NAME]."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import unittest
import urllib.request

from integration.test_tls import Tls
from lib.client import Replies, encode
from lib.harness import account, ad_object, make_crl, record, run_ingestd, wait_until

# Sends standard input, prints what is replied.
PEER = """
import os, socket, sys, threading
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
def feed():
    try:
        s.sendall(sys.stdin.buffer.read())
        s.shutdown(socket.SHUT_WR)
    except OSError:
        pass
threading.Thread(target=feed, daemon=True).start()
sys.stdout.buffer.write(b"".join(iter(lambda: s.recv(65536), b"")))
sys.stdout.flush()
os._exit(0)  # the thread may hold standard input
"""

AS_USER = "setpriv --reuid=12345 --regid=12345 --clear-groups".split()
AS_MEMBER = "setpriv --reuid=12346 --regid=12346 --groups=7,4242,8".split()


def read_replies(text):
    replies = Replies()
    for line in text.splitlines():
        replies.add(json.loads(line))
    return replies


class Clients(Tls):
    """Three platform connections: the client's own, one of another platform, and a foreign one of the same platform."""

    shares_daemon = True
    shared_settings = {"listen__unix_mode": "0666"}

    def setUp(self):
        super().setUp()
        self.db.execute("DELETE FROM platform_connections")
        self.own = self.db.add_account("act_1")
        self.tiktok = self.db.add_account("act_t", platform="TIKTOK")
        self.foreign = self.db.add_account("act_9")

    def section(self, name="sync", peer="user:root", **keys):
        return "\n".join([f"[client {name}]", f"peer = {peer}", *(f"{key} = {value}" for key, value in keys.items())]) + "\n"

    def start(self, config, **settings):
        if settings:
            self.d = self.own_daemon(config=config, **self.shared_settings, **settings)
        else:
            self.d = self.daemon(**self.shared_settings)
            self.d.reload(config)
        os.chmod(self.d.dir, 0o755)
        return self.d

    def send_as(self, who, *lines):
        done = subprocess.run([*who, "/usr/bin/python3", "-c", PEER, self.d.socket],
                              input=b"".join(encode(line) + b"\n" for line in lines), stdout=subprocess.PIPE, check=True,
                              timeout=60)
        return read_replies(done.stdout)

    def metrics(self):
        with urllib.request.urlopen(self.d.http() + "/metrics") as response:
            return response.read().decode()

    def take_database_away(self):
        self.db.execute("SELECT 1")
        name = self.db.name
        self.psql_server(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false; "
                         f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def give_database_back(self):
        self.psql_server(f"ALTER DATABASE {self.db.name} ALLOW_CONNECTIONS true")

    def psql_server(self, sql):
        subprocess.run(["psql", "-X", "-q", "-d", self.server.url, "-c", sql], check=True, stdout=subprocess.DEVNULL)

    def limits(self):
        """Each kind of limit, what it permits and what it does not: spending, account lines, object lines."""
        return {
            "platforms": ("META",
                          [record(), account(self.own, "act_2"), ad_object("c1")],
                          [record(platform="TIKTOK", accountExternalId="act_t"), account(self.tiktok, "act_t2"),
                           ad_object("x", platform="TIKTOK", accountExternalId="act_t")]),
            "connections": (self.own,
                            [record(), record(connectionId=self.own, amountCents=2), account(self.own, "act_2"),
                             ad_object("c1"), ad_object("c2", connectionId=self.own)],
                            [record(connectionId=self.foreign, accountExternalId="act_9"), record(accountExternalId="act_9"),
                             account(self.foreign, "act_10"), ad_object("x", accountExternalId="act_9"),
                             ad_object("x", connectionId=self.foreign, accountExternalId="act_9"),
                             ad_object("x", accountExternalId="act_9")]),
            "accounts": ("act_1 act_2* act_[9] act_?é",
                         [record(), account(self.own, "act_2"), account(self.own, "act_22"), ad_object("c1")],
                         [record(accountExternalId="act_9"), account(self.own, "act_3"),
                          ad_object("x", accountExternalId="act_9"), account(self.own, "act_1x"),
                          account(self.own, "act_\N{EURO SIGN}\N{EURO SIGN}")]),
        }

    def content(self):
        return self.db.query("SELECT c.id, a.external_id AS account, o.external_id AS object, "
                             "(SELECT count(*) FROM spending s WHERE s.ad_object_id = o.id) AS records "
                             "FROM platform_connections c JOIN ad_accounts a ON a.platform_connection_id = c.id "
                             "LEFT JOIN ad_objects o ON o.ad_account_id = a.id "
                             f"WHERE c.id <> '{self.own}' OR a.external_id NOT IN ('act_1', 'act_2', 'act_22') "
                             "ORDER BY 1, 2, 3")


@unittest.skipUnless(os.getuid() == 0 and shutil.which("setpriv"), "only root can be another user")
class Matrix(Clients):
    def check(self, own, other, replies, before):
        for line in range(1, len(own) + 1):
            self.assertNotIn(line, replies.rejects)
        for line in range(len(own) + 1, len(own) + len(other) + 1):
            self.assertEqual(replies.rejects[line]["code"], "not_permitted", (line, replies.rejects.get(line)))
        self.assertEqual(replies.ack["ack"], len(own) + len(other))
        self.assertEqual(self.content(), before)

    def test_direct(self):
        before = self.content()
        d = None
        for key, (value, own, other) in self.limits().items():
            for peer in ("user:12345", "group:4242", "certificate:client"):
                with self.subTest(key=key, peer=peer):
                    config = self.section("first", "user:nobody") + self.section("sync", peer, **{key: value})
                    if d:
                        d.reload(config)
                    else:
                        d = self.start(config, **self.settings)
                    if peer == "certificate:client":
                        client = self.client(d)
                        client.send(*own, *other)
                        replies = client.finish()
                    else:
                        replies = self.send_as(AS_USER if peer == "user:12345" else AS_MEMBER, *own, *other)
                    self.check(own, other, replies, before)
                    self.assertEqual(self.send_as(["env"], record()).closing, "not_allowed")

    def test_spooled_and_replayed(self):
        before = self.content()
        for key, (value, own, other) in self.limits().items():
            with self.subTest(key=key):
                self.db.execute("DELETE FROM spending; DELETE FROM ad_objects WHERE external_id LIKE 'c_'; "
                                "DELETE FROM ad_accounts WHERE external_id LIKE 'act_2%'")
                rejects = pathlib.Path(self.folder, f"rejects-{key}")
                settings = {"spool__dir": self.path(f"spool-{key}"), "rejects__file": str(rejects)}
                operator = self.section("operator", "user:root")
                may_all = self.section("sync", "user:12345") + operator
                limited = self.section("sync", "user:12345", **{key: value}) + operator
                d = self.start(may_all, **settings)
                self.take_database_away()
                replies = self.send_as(AS_USER, *own, *other)
                self.assertEqual(replies.ack["spooled"], len(own) + len(other))
                d.reload(limited)
                self.give_database_back()
                wait_until(lambda: "the spool is empty" in d.log(), "drained")
                self.assertEqual(self.content(), before)
                told = [json.loads(line) for line in pathlib.Path(f"{rejects}.spooled").read_text().splitlines()]
                self.assertEqual([(r["code"], r["client"]) for r in told], [("not_permitted", "sync")] * len(other))
                self.assertEqual(self.db.count(), sum("kind" not in line for line in own))
                # the client that replays them may write everything, the first sender may not
                args = ["rejects", "replay", f"{rejects}.spooled", "--socket", d.socket]
                done = run_ingestd(self.db, *args)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertEqual(done.stdout.count("not_permitted"), len(other), done.stdout)
                self.assertEqual(self.content(), before)
                d.reload(may_all)
                done = run_ingestd(self.db, *args)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertNotEqual(self.content(), before)
                self.assertEqual(d.stop(), 0)
                self.db.execute("DELETE FROM platform_connections")
                self.setUpAgain()
                before = self.content()

    def setUpAgain(self):
        self.db.execute(f"""INSERT INTO platform_connections (id, platform, credentials) VALUES
            ('{self.own}', 'META', '{{}}'), ('{self.tiktok}', 'TIKTOK', '{{}}'), ('{self.foreign}', 'META', '{{}}');
            INSERT INTO ad_accounts (platform_connection_id, external_id, currency, timezone) VALUES
            ('{self.own}', 'act_1', 'USD', 'UTC'), ('{self.tiktok}', 'act_t', 'USD', 'UTC'),
            ('{self.foreign}', 'act_9', 'USD', 'UTC');
            INSERT INTO ad_objects (ad_account_id, external_id, type, status)
            SELECT id, n::text, 'AD', 'ACTIVE' FROM ad_accounts, generate_series(1, 3) n""")

    def test_the_first_section_that_names_a_client_holds(self):
        d = self.start(self.section("narrow", "user:12345", accounts="act_9") + self.section("wide", "user:12345"))
        self.assertEqual(self.send_as(AS_USER, record()).codes(), {1: "not_permitted"})
        self.assertIn("no client can match [client wide]", d.log())


class Rules(Clients):
    def test_no_section_is_as_before(self):
        self.start("")
        self.assertEqual(self.d.send(record(), record(accountExternalId="act_9")).counts(), (2, 2, 0, 0))

    def test_reload_holds_for_open_connections(self):
        d = self.start(self.section())
        client = d.client()
        client.send(record())
        client.wait_ack(1)
        self.assertIn("[client] sections", d.reload(self.section(accounts="act_9")))
        client.send(record(amountCents=2), record(accountExternalId="act_9"))
        replies = client.finish()
        self.assertEqual(replies.codes(), {2: "not_permitted"})
        other = d.client()
        other.send(record(accountExternalId="act_9"))
        other.wait_ack(1)
        d.reload(self.section(peer="user:nobody"))
        self.assertEqual(other.drain().closing, "not_allowed")
        self.assertEqual(d.send(record()).closing, "not_allowed")
        d.reload("")
        self.assertEqual(d.send(record(amountCents=3)).counts(), (1, 1, 0, 0))

    def test_a_bad_section_changes_nothing(self):
        d = self.start(self.section(accounts="act_1"))
        for bad, words in ((self.section(platforms="META, FACEBOOK"), "platforms of [client sync] must be META"),
                           (self.section(connections="12"), "connections of [client sync] must be UUIDs"),
                           (self.section(peer="root"), "peer of [client sync] must be user:NAME"),
                           (self.section(max_lines_per_second="-1"), "must be a whole number from 0"),
                           (self.section(memory_percent="0"), "must be a whole number from 1 to 100"),
                           (self.section(colour="red"), "unknown key colour in [client sync]"),
                           (self.section() + self.section(), "section [client sync] appears twice"),
                           ("[client]\n", "must have a name"), ("[client a b]\n", "must have a name")):
            said = d.reload(bad)
            self.assertIn(words, said)
            self.assertIn(str(d.config_path), said)
            self.assertIn("no setting was changed", said)
        self.assertEqual(d.send(record(accountExternalId="act_9"), record()).codes(), {1: "not_permitted"})

    def test_lists_may_stand_in_several_lines(self):
        config = self.section(connections=self.own) + f"connections = {self.foreign}\naccounts = act_1\naccounts = act_9\n"
        self.start(config)
        self.assertEqual(self.d.send(record(), record(accountExternalId="act_9"),
                                     record(accountExternalId="act_t", platform="TIKTOK")).codes(), {3: "not_permitted"})

    def test_two_clients_of_one_daemon_do_not_share_what_is_remembered(self):
        self.start(self.section("all", "user:0") if os.getuid() else self.section("all", "user:root"))
        self.assertEqual(self.d.send(record(accountExternalId="act_9")).counts(), (1, 1, 0, 0))
        self.d.reload(self.section(connections=self.own))
        self.assertEqual(self.d.send(record(accountExternalId="act_9"), record()).codes(), {1: "not_permitted"})

    def test_a_renamed_account_is_noticed(self):
        d = self.start(self.section(connections=self.own), resolve__recheck_ms=1000)
        d.send(record())
        time.sleep(3)  # the cache is right: nothing is forgotten
        self.assertNotIn("looked up again", d.log())
        self.db.execute("UPDATE ad_accounts SET external_id = 'old' WHERE external_id = 'act_1'")
        wait_until(lambda: "looked up again" in d.log(), "noticed")
        self.assertEqual(d.send(record(amountCents=5)).codes(), {1: "not_permitted"})

    def test_rate(self):
        d = self.start(self.section(max_lines_per_second=200), http__listen="127.0.0.1:0")
        begun = time.monotonic()
        client = d.client()
        thread = client.feed(*(record(amountCents=n) for n in range(600)), half_close=True)
        wait_until(lambda: 'connections_paused{reason="client_limit"} 1' in self.metrics(), "paused")
        self.assertEqual(client.drain().counts(), (600, 600, 0, 0))
        thread.join()
        self.assertGreater(time.monotonic() - begun, 2)

    def test_connections(self):
        d = self.start(self.section(max_connections=2))
        first, second = d.client(), d.client()
        for client in first, second:
            client.send(record())
            client.wait_ack(1)
        third = d.client()
        self.assertEqual(third.reply(), {"closing": "too_many_connections"})
        first.finish()
        wait_until(lambda: d.send(record()).ack, "room again")
        second.finish()

    def test_share_of_memory(self):
        d = self.start(self.section(memory_percent=1), limits__memory_bytes="16M", http__listen="127.0.0.1:0")
        with self.db.locked("spending", "ACCESS EXCLUSIVE"):
            client = d.client()
            thread = client.feed(*(record(amountCents=n, metrics={"x": "y" * 1000}) for n in range(2000)), half_close=True)
            wait_until(lambda: 'connections_paused{reason="client_limit"} 1' in self.metrics(), "paused")
        self.assertEqual(client.drain().counts(), (2000, 2000, 0, 0))
        thread.join()

    def test_counters(self):
        d = self.start(self.section(accounts="act_1"), http__listen="127.0.0.1:0")
        d.send(record(), record(), record(accountExternalId="act_9"))
        wait_until(lambda: 'client_lines_total{client="sync",outcome="rejected"} 1' in self.metrics(), "counted")
        self.assertIn('client_lines_total{client="sync",outcome="stored"} 1', self.metrics())
        client = d.client()
        client.send(record())
        client.wait_ack(1)
        self.assertIn('client_section_connections{client="sync"} 1', self.metrics())
        with urllib.request.urlopen(d.http() + "/status.json") as response:
            status = json.load(response)
        self.assertEqual([(c["name"], c["connections"]) for c in status["clients"]], [("sync", 1)])
        self.assertEqual(status["connections"][0]["section"], "sync")
        wait_until(lambda: re.search(r"\nsection +open +lines +stored .*\nsync +1 +4 +1 +2 +1 +0 ",
                                     run_ingestd(None, "top", "--once", "--url", d.http()).stdout), "shown")
        client.finish()

    def test_check_names_sections_that_nobody_matches(self):
        config = pathlib.Path(self.folder, "ini")
        config.write_text("[client nobody]\n" + self.section("unknown", "user:no-such-user") + self.section("sync") +
                          self.section("again") + self.section("tls", "certificate:a.example"))
        done = run_ingestd(self.db, "check", "--config-only", "--config", str(config), "--set", "listen.unix=/tmp/never")
        for name, why in (("nobody", "it has no peer"), ("unknown", "do not exist on this system"), ("again", "earlier sections"),
                          ("tls", "without TLS")):
            self.assertRegex(done.stdout, rf"no client can match \[client {name}\]: .*{why}")
        self.assertNotIn("[client sync]", done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout)


class Attacker(Clients):
    """Tries to learn of accounts and objects that it may not write."""

    def assert_alike(self, pairs, **settings):
        """Each pair is a line about what is there, and the same about what is not: nothing tells them apart."""
        d = self.start(self.config, **settings)
        d.send(record(), ad_object("warm"))  # the first lines wait for connections to the database
        for there, missing in pairs:
            with self.subTest(line=there):
                replies = []
                for line in there, missing, there, missing:
                    begun = time.monotonic()
                    got = d.send(line)
                    seconds = time.monotonic() - begun
                    text = json.dumps([got.rejects, got.ack]).replace("nowhere", "act_9").replace(self.missing, self.foreign)
                    replies.append((text.replace("missing_object", "1"), seconds))
                self.assertEqual({text for text, _ in replies}, {replies[0][0]})
                self.assertIn("not_permitted", replies[0][0])
                times = [seconds for _, seconds in replies]
                self.assertLess(max(times) - min(times), 1.3, times)

    def pairs(self):
        self.missing = "11111111-2222-4333-8444-555555555555"
        return [
            (record(accountExternalId="act_9"), record(accountExternalId="nowhere")),
            (record(accountExternalId="act_9"), record(accountExternalId="act_9", externalId="missing_object")),
            (record(accountExternalId="act_9", connectionId=self.foreign), record(accountExternalId="act_9",
                                                                               connectionId=self.missing)),
            (ad_object("1", accountExternalId="act_9"), ad_object("1", accountExternalId="nowhere")),
            (ad_object("n", type="AD", parent="1", accountExternalId="act_9"),
             ad_object("n", type="AD", parent="missing_object", accountExternalId="act_9")),
            (account(self.foreign, "act_9"), account(self.missing, "act_9")),
            (account(self.foreign, "act_9"), account(self.foreign, "nowhere")),
        ]

    def test_connections(self):
        self.config = self.section(connections=self.own)
        self.assert_alike(self.pairs())

    def test_connections_with_grace(self):
        self.config = self.section(connections=self.own)
        self.assert_alike(self.pairs()[:2], resolve__unknown_grace_ms=1500)

    def test_accounts(self):
        self.config = self.section(accounts="act_1")
        self.assert_alike([pair for pair in self.pairs()])

    def test_platforms(self):
        self.foreign = self.tiktok
        self.config = self.section(platforms="META")
        self.pairs()
        self.assert_alike([(account(self.tiktok, "act_9"), account(self.missing, "act_9")),
                           (record(platform="TIKTOK", accountExternalId="act_9"),
                            record(platform="TIKTOK", accountExternalId="nowhere"))])

    def test_on_behalf_of_another_adds_nothing(self):
        """Nobody gets another's rights by its name: not at once, not through the spool or the reject file."""
        wide, narrow = self.section("wide", "user:nobody"), self.section("narrow", connections=self.own)
        rejects = pathlib.Path(self.folder, "rejects")
        d = self.start(wide + narrow, spool__dir=self.path("spool"), rejects__file=str(rejects))
        hello = {"kind": "hello", "client": "x", "onBehalfOf": "wide"}
        self.assertEqual(d.send(hello, record(accountExternalId="act_9"), record()).codes(), {2: "not_permitted"})
        self.assertEqual(d.send(hello | {"onBehalfOf": "none"}, record()).codes(), {2: "not_permitted"})
        self.assertEqual(d.send(hello | {"onBehalfOf": 'a"b'}, record()).codes(), {1: "bad_value"})
        self.take_database_away()
        self.assertEqual(d.send(hello, record(accountExternalId="act_9"), record(amountCents=2)).ack["spooled"], 2)
        self.give_database_back()
        wait_until(lambda: "the spool is empty" in d.log(), "drained")
        wait_until(lambda: rejects.exists() and "spooled" in rejects.read_text(), "recorded")
        self.assertEqual(json.loads(rejects.read_text().splitlines()[0])["client"], "wide+narrow")
        d.reload(wide + narrow + self.section("operator"))
        for config in (narrow, wide + self.section("narrow", "user:nobody", connections=self.own) + self.section("operator")):
            d.reload(config)
            done = run_ingestd(self.db, "rejects", "replay", str(rejects), "--socket", d.socket)
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(self.db.value("SELECT count(*) FROM spending s JOIN ad_objects o ON o.id = s.ad_object_id JOIN ad_accounts a "
                                       "ON a.id = o.ad_account_id WHERE a.external_id = 'act_9'"), "0")

    def test_a_foreign_account_of_the_same_name_does_not_show(self):
        """Through another connection the same account may be reached: it is not ambiguous for who may use one of them."""
        self.db.execute(f"UPDATE ad_accounts SET external_id = 'act_1' WHERE platform_connection_id = '{self.foreign}'")
        self.start(self.section(connections=self.own))
        replies = self.d.send(ad_object("n"), record(), record(externalId="none"))
        self.assertEqual(replies.codes(), {3: "unknown_ad_object"})
        self.assertEqual(self.db.value("SELECT DISTINCT a.platform_connection_id FROM spending s "
                                       "JOIN ad_objects o ON o.id = s.ad_object_id JOIN ad_accounts a ON a.id = o.ad_account_id"),
                         self.own)
        self.d.reload(self.section(connections=f"{self.own},{self.foreign}"))
        self.assertEqual(self.d.send(record(amountCents=7)).codes(), {1: "ambiguous_account"})


class Certificates(Clients):
    """Which certificates are clients, and whose."""

    def revoke(self, *names):
        make_crl(self.folder, self.path("ca.crt"), self.path("ca.key"), [self.path(f"{name}.crt") for name in names])

    def assert_admitted(self, d, name):
        client = self.client(d, name=name)
        client.send(record())
        self.assertEqual(client.finish().ack["ack"], 1, name)

    def assert_not_allowed(self, d, name):
        client = self.client(d, name=name)
        client.send(record())
        self.assertEqual(client.drain().closing, "not_allowed", name)

    def test_kinds(self):
        self.make("webserver", "-CA", "ca", "-addext", "extendedKeyUsage=serverAuth")
        self.make("both", "-CA", "ca", "-addext", "extendedKeyUsage=serverAuth,clientAuth")
        self.make("sub-ca", "-CA", "ca", "-addext", "basicConstraints=critical,CA:true")
        self.make("self-signed", "-x509")
        self.openssl("x509", "-req", "-in", self.path("request"), "-CA", self.path("ca.crt"), "-CAkey", self.path("ca.key"),
                     "-CAcreateserial", "-days", "-1", "-out", self.path("expired.crt"))
        shutil.copy(self.path("sub-ca.key"), self.path("expired.key"))
        d = self.daemon(**self.settings)
        self.assert_admitted(d, "client")
        self.assert_admitted(d, "both")
        for name in ("webserver", "sub-ca", "ca", "self-signed", "stranger", "expired"):
            self.assert_turned_away(d, name)
        wait_until(lambda: "the certificate was refused: " in d.log(), "logged")
        self.assertEqual(self.db.count(), 1)

    def test_names(self):
        self.make("san", "-CA", "ca", "-addext", "subjectAltName=DNS:sync.boris.example,email:sync@boris.example", cn="other")
        self.make("near", "-CA", "ca", "-addext", "subjectAltName=DNS:x.sync.boris.example,DNS:*.boris.example", cn="clien")
        for peer, good, bad in (("certificate:client", "client", "near"), ("certificate:SYNC.boris.example", "san", "near"),
                                ("certificate:sync@boris.example", "san", "client")):
            d = self.daemon(config=self.section("sync", peer), **self.settings)
            self.assert_admitted(d, good)
            self.assert_not_allowed(d, bad)
            self.assertEqual(d.stop(), 0)

    def test_revoked(self):
        self.make("second", "-CA", "ca")
        self.revoke()
        d = self.daemon(listen__tls_client_crl=self.path("crl"), http__listen="127.0.0.1:0", **self.settings)
        self.assert_admitted(d, "client")
        self.assertRegex(self.metrics_of(d), r"tls_client_crl_expires_seconds 1\d{5}\.")
        held = [self.client(d, name=name) for name in ("client", "second")]
        for client in held:
            client.send(record())
            client.wait_ack(1)
        self.revoke("second")
        d.reload()
        self.assertEqual(held[1].drain().closing, "not_allowed")
        self.assert_turned_away(d, "second")
        wait_until(lambda: "certificate revoked" in d.log(), "logged")
        self.assert_admitted(d, "client")
        held[0].send(record(amountCents=2))
        self.assertEqual(held[0].finish().ack["ack"], 2)
        pathlib.Path(self.path("crl")).write_text("nonsense")
        self.assertIn("listen.tls_client_crl", d.reload())
        self.assert_turned_away(d, "second")  # the list before stays in use

    def metrics_of(self, d):
        with urllib.request.urlopen(d.http() + "/metrics") as response:
            return response.read().decode()


if __name__ == "__main__":
    unittest.main()
