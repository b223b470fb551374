"""Lines in, rows and replies out: the contract's wire and record, seen from outside."""

import os
import pathlib
import re
import signal
import socket
import stat
import threading
import time
import unittest

from lib.client import Client, encode
from lib.harness import TestCase, numbered, record, wait_until


class Storing(TestCase):
    shares_daemon = True

    def setUp(self):
        super().setUp()
        self.db.add_account()
        self.d = self.daemon()

    def test_every_field_is_stored_as_sent(self):
        full = record(amountCents="-9223372036854775808", impressions="9223372036854775807", clicks=3.0,
                      conversions=2e0, periodStart="2026-11-01T00:00:00.123456+05:30", currency="EUR",
                      metrics={"name": "👩‍👩‍👧 line\nbreak \" \\ \u0001", "deep": [{"a": None}, True, -0.5]})
        bare = record(externalId="2")
        self.assertEqual(self.d.send(full, bare).counts(), (2, 2, 0, 0))
        rows = self.db.query("""SELECT o.external_id, period_start, period_end, collected_at, amount_cents::text,
                                       s.currency, impressions::text, clicks, conversions, metrics
                                FROM spending s JOIN ad_objects o ON o.id = ad_object_id ORDER BY 1""")
        self.assertEqual(rows[0], {
            "external_id": "1", "period_start": "2026-10-31T18:30:00.123456+00:00",
            "period_end": "2026-11-02T00:00:00+00:00", "collected_at": "2026-11-03T00:00:00+00:00",
            "amount_cents": "-9223372036854775808", "currency": "EUR", "impressions": "9223372036854775807",
            "clicks": 3, "conversions": 2, "metrics": full["metrics"]})
        self.assertEqual([rows[1][k] for k in ("amount_cents", "impressions", "clicks", "conversions", "metrics")],
                         ["100", None, None, None, None])

    def test_metrics_keep_every_digit(self):
        numbers = ["12345678901234567890.123456789", "1E400", "0.10", "-0.0000000000000000000000001", "1e-16383",
                   "123e131069", "3.0", "0"]
        bad = ["1e131072", "1e-16384", "1e99999999999"]
        lines = [encode(record(externalId="1", amountCents=i))[:-1] + b',"metrics":{"n":' + n.encode() + b"}}"
                 for i, n in enumerate(numbers + bad)]
        replies = self.d.send(*lines)
        self.assertEqual(replies.counts(), (11, 8, 0, 3))
        self.assertEqual(set(replies.codes().values()), {"bad_value"})
        self.assertEqual({r["field"] for r in replies.rejects.values()}, {"metrics"})
        for i, n in enumerate(numbers):
            same = self.db.value(f"SELECT metrics = '{{\"n\":{n}}}'::jsonb AND "
                                 f"metrics::text = '{{\"n\":{n}}}'::jsonb::text "
                                 f"FROM spending WHERE amount_cents = {i}")
            self.assertEqual(same, "t", n)

    def test_sent_again_is_duplicate(self):
        lines = [record(externalId=str(1 + i % 3), amountCents=i) for i in range(500)]
        self.assertEqual(self.d.send(*lines).counts(), (500, 500, 0, 0))
        self.assertEqual(self.d.send(*lines).counts(), (500, 0, 500, 0))
        # old and new mixed, and the same line twice in one batch
        mixed = lines[:100] + [record(amountCents=-1), record(amountCents=-1)] + lines[100:]
        self.assertEqual(self.d.send(*mixed).counts(), (502, 1, 501, 0))
        self.assertEqual(self.db.count(), 501)

    def test_restatement_and_breakdown_are_rows_of_their_own(self):
        lines = [record(), record(collectedAt="2026-11-04T00:00:00Z"), record(metrics={"age": "18-24"}),
                 record(metrics={"age": "25-34"})]
        self.assertEqual(self.d.send(*lines).counts(), (4, 4, 0, 0))

    def test_records_of_real_reports(self):
        lines = [record(amountCents=0), record(impressions=0, clicks=5, conversions=9),
                 record(periodEnd="2026-11-02T01:00:00Z"), record(periodEnd="2026-11-01T23:00:00Z"),
                 record(periodEnd="2099-01-01T00:00:00Z"), record(currency="JPY"), record(amountCents=-5)]
        self.assertEqual(self.d.send(*lines).counts(), (7, 7, 0, 0))

    def test_without_collected_at(self):
        line = record(collectedAt=None)
        before = time.time()
        self.assertEqual(self.d.send(line, line).counts(), (2, 2, 0, 0))
        for value in self.db.value("SELECT extract(epoch FROM collected_at) FROM spending").split():
            self.assertTrue(before - 1 <= float(value) <= time.time() + 1)

    def test_own_id(self):
        own = "01dee204-efdd-5702-9841-b5bbbec74be5"
        self.assertEqual(self.d.send(record(id=own)).counts(), (1, 1, 0, 0))
        self.assertEqual(self.d.send(record(id=own.upper())).counts(), (1, 0, 1, 0))
        self.assertEqual(self.d.send(record(id=own, amountCents=7)).codes(), {1: "id_conflict"})
        self.assertEqual(self.db.value("SELECT id || ' ' || amount_cents FROM spending"), f"{own} 100")

    def test_own_id_without_collected_at_is_stored_once(self):
        ids = [f"01dee204-efdd-5702-9841-{i:012x}" for i in range(200)]
        lines = [record(id=i, collectedAt=None) for i in ids]
        self.assertEqual(self.d.send(*lines, lines[0]).counts(), (201, 200, 1, 0))
        time.sleep(0.01)
        self.assertEqual(self.d.send(*lines).counts(), (200, 0, 200, 0))
        self.assertEqual(self.db.count(), 200)

    def test_own_ids_from_many_connections_at_once(self):
        lines = [record(id=f"01dee204-efdd-5702-9841-{i:012x}", collectedAt=None) for i in range(300)]
        results = []
        threads = [threading.Thread(target=lambda: results.append(self.d.send(*lines).counts())) for _ in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(sum(r[1] for r in results), 300)
        self.assertEqual(sum(r[2] for r in results), 1500)
        self.assertEqual(self.db.count(), 300)

    def test_far_dates(self):
        lines = [record(collectedAt="0001-01-01T00:00:00Z"), record(collectedAt="9999-12-31T23:59:59.999999Z"),
                 record(collectedAt="1969-12-31T23:59:59.999Z", periodStart="0001-01-01T00:00:00Z")]
        self.assertEqual(self.d.send(*lines).counts(), (3, 3, 0, 0))
        self.assertEqual(self.d.send(*lines).counts(), (3, 0, 3, 0))


class Idle(TestCase):
    def test_an_idle_client_is_notified_and_disconnected(self):
        self.db.add_account()
        d = self.daemon(limits__idle_ms=600)
        silent, dribbling, busy, waiting = (d.client() for _ in range(4))
        dribbling.send_bytes(b"\n")
        start = time.monotonic()
        while time.monotonic() - start < 2:
            busy.send(record(amountCents=int(1000 * time.monotonic())))
            try:
                dribbling.send_bytes(b" ")
            except OSError:
                pass
            time.sleep(0.1)
        self.assertEqual([silent.reply(), silent.reply(), silent.reply()],
                         [{"ack": 0, "stored": 0, "duplicate": 0, "rejected": 0}, {"closing": "idle"}, None])
        self.assertEqual(dribbling.reply()["ack"], 1)
        self.assertEqual(dribbling.reply(), {"closing": "idle"})
        self.assertEqual(busy.finish().closing, None)
        waiting.close()

    def test_a_client_that_waits_for_the_database_is_not_idle(self):
        self.db.add_account()
        d = self.daemon(limits__idle_ms=300)
        self.db.execute("ALTER TABLE ad_objects RENAME TO away")
        client = d.client()
        client.send(record())
        time.sleep(1.5)
        self.db.execute("ALTER TABLE away RENAME TO ad_objects")
        self.assertEqual(client.finish().counts(), (1, 1, 0, 0))


class Status(TestCase):
    def test_line_counts_add_up_at_any_moment(self):
        self.db.add_account()
        d = self.daemon()
        client = d.client()
        for i in range(30):
            client.send(*[record(amountCents=i * 500 + j) for j in range(500)], "", b"{", record())
            d.signal(signal.SIGUSR1)
        client.finish()
        d.signal(signal.SIGUSR1)
        wait_until(lambda: d.log().count(" status: ") > 1, "the status in the log")
        wait_until(lambda: "15090 lines: 15000 stored, 30 duplicate, 30 rejected, 0 spooled, 30 empty, 0 in flight" in d.log(),
                   "the sum")


class Resolving(TestCase):
    shares_daemon = True

    def test_codes(self):
        self.db.add_account()
        self.db.add_account(platform="TIKTOK", objects=("1", "7340000000000000001"))
        d = self.daemon()
        replies = d.send(record(), record(platform="TIKTOK", externalId="7340000000000000001"),
                         record(externalId="nope \"quoted\" é"), record(accountExternalId="act_2"),
                         record(platform="GOOGLE_ADS"), record(externalId="\\u0031"),
                         '{"extern\\u0061lId":"\\u0031",' + encode(record(externalId=None)).decode()[1:])
        self.assertEqual(replies.codes(), {3: "unknown_ad_object", 4: "unknown_account", 5: "unknown_account",
                                           6: "unknown_ad_object"})
        self.assertEqual(replies.rejects[3]["field"], "externalId")
        self.assertEqual(replies.rejects[3]["message"], "no ad object nope \"quoted\" é in account act_1")
        self.assertEqual(replies.rejects[4]["field"], "accountExternalId")
        self.assertEqual(replies.counts(), (7, 2, 1, 4))

    def test_ambiguous_account(self):
        one = self.db.add_account(objects=("1", "only one"))
        two = self.db.add_account(objects=("1",))
        d = self.daemon()
        replies = d.send(record(), record(connectionId=one), record(connectionId=two),
                         record(connectionId=two, externalId="only one"),
                         record(connectionId="00000000-0000-0000-0000-000000000000"))
        self.assertEqual(replies.codes(), {1: "ambiguous_account", 4: "unknown_ad_object", 5: "unknown_account"})
        self.assertEqual(self.db.value("SELECT count(DISTINCT ad_object_id) FROM spending"), "2")

    def test_an_account_that_becomes_ambiguous(self):
        self.db.add_account()
        d = self.own_daemon()  # the shared one may have seen the same account ambiguous before
        self.assertEqual(d.send(record()).counts(), (1, 1, 0, 0))
        self.db.add_account()
        wait_until(lambda: d.send(record(collectedAt=None)).codes(), "the cache is not trusted forever")
        self.assertEqual(d.send(record()).codes(), {1: "ambiguous_account"})

    def test_an_account_that_is_ambiguous_again(self):
        """Between two looks of the daemon at the accounts: the set of ambiguous ones is as it was, but the cache is not."""
        self.db.add_account()
        other = self.db.add_account()
        d = self.own_daemon()
        self.assertEqual(d.send(record()).codes(), {1: "ambiguous_account"})
        self.db.execute(f"""DELETE FROM ad_objects WHERE ad_account_id IN
                            (SELECT id FROM ad_accounts WHERE platform_connection_id = '{other}');
                            DELETE FROM ad_accounts WHERE platform_connection_id = '{other}'""")
        self.assertEqual(d.send(record()).counts(), (1, 1, 0, 0))
        self.db.add_account()
        wait_until(lambda: d.send(record(collectedAt=None)).codes(), "the cache is not trusted forever")
        self.assertEqual(d.send(record()).codes(), {1: "ambiguous_account"})

    def test_an_object_added_later_is_found(self):
        self.db.add_account()
        d = self.daemon()
        self.assertEqual(d.send(record(externalId="late")).codes(), {1: "unknown_ad_object"})
        self.db.execute("""INSERT INTO ad_objects (ad_account_id, external_id, type, status)
                           SELECT id, 'late', 'AD', 'DELETED' FROM ad_accounts""")
        self.assertEqual(d.send(record(externalId="late")).counts(), (1, 1, 0, 0))

    def test_many_objects_many_accounts(self):
        self.db.add_account("act_0", objects=[f"0-{n}" for n in range(20)])
        self.db.execute("""
            WITH a AS (INSERT INTO ad_accounts (platform_connection_id, external_id, currency, timezone)
                       SELECT id, 'act_' || i, 'USD', 'UTC' FROM platform_connections, generate_series(1, 299) AS i
                       RETURNING id, external_id)
            INSERT INTO ad_objects (ad_account_id, external_id, type, status)
            SELECT id, replace(external_id, 'act_', '') || '-' || n, 'AD', 'ACTIVE' FROM a, generate_series(0, 19) AS n""")
        d = self.daemon()
        lines = [record(accountExternalId=f"act_{i}", externalId=f"{i}-{n}") for n in range(20) for i in range(300)]
        self.assertEqual(d.send(*lines).counts(), (6000, 6000, 0, 0))
        wrong = self.db.value("""SELECT count(*) FROM spending s JOIN ad_objects o ON o.id = ad_object_id
                                 JOIN ad_accounts a ON a.id = ad_account_id
                                 WHERE 'act_' || split_part(o.external_id, '-', 1) <> a.external_id""")
        self.assertEqual(wrong, "0")
        self.assertEqual(self.db.value("SELECT count(DISTINCT ad_object_id) FROM spending"), "6000")

    def test_a_small_cache_changes_no_result(self):
        self.db.add_account(objects=[str(n) for n in range(500)])
        d = self.daemon(resolve__cache_objects=50)
        lines = [record(externalId=str(n % 500), amountCents=n) for n in range(3000)]
        self.assertEqual(d.send(*lines).counts(), (3000, 3000, 0, 0))


class Wire(TestCase):
    shares_daemon = True

    def setUp(self):
        super().setUp()
        self.db.add_account()

    def conversation(self, data, **settings):
        client = self.daemon(**settings).client()
        client.send_bytes(data)
        return client.finish()

    def test_lines(self):
        good = encode(record())
        other = encode(record(amountCents=1))
        replies = self.conversation(b"\n" + good + b"\r\n\r\n" + b"{oops\n" + other)
        self.assertEqual(replies.counts(), (5, 2, 0, 1))
        self.assertEqual(replies.codes(), {4: "bad_json"})

    def test_nothing_sent(self):
        self.assertEqual(self.conversation(b"").counts(), (0, 0, 0, 0))

    def test_no_ack_is_repeated(self):
        client = self.daemon().client()
        client.send(record(), b"x")
        client.wait_ack(2)
        client.sock.shutdown(socket.SHUT_WR)
        self.assertIsNone(client.reply())
        client.close()

    def test_counts_are_those_of_the_lines_acked(self):
        client = self.daemon(batch__rows=100, batch__linger_ms=1, database__writers=4).client()
        client.send(*[record(amountCents=i % 5000) if i % 10 else b"" for i in range(10000)])
        client.sock.shutdown(socket.SHUT_WR)
        acks = 0
        while (ack := client.reply()) is not None:
            acks += 1
            empty = (ack["ack"] + 9) // 10
            self.assertEqual(ack["stored"] + ack["duplicate"] + ack["rejected"] + empty, ack["ack"])
        self.assertGreater(acks, 1)
        client.close()

    def test_bytes_one_by_one(self):
        client = self.daemon().client()
        for byte in encode(record()) + b"\n" + encode(record(amountCents=2)):
            client.send_bytes(bytes([byte]))
        self.assertEqual(client.finish().counts(), (2, 2, 0, 0))

    def test_acks_come_without_half_close(self):
        client = self.daemon().client()
        client.send(record())
        self.assertEqual(client.wait_ack(1)["stored"], 1)
        client.send(record(), b"", b"x")
        ack = client.wait_ack(4)
        self.assertEqual((ack["stored"], ack["duplicate"], ack["rejected"]), (1, 1, 1))
        self.assertIsNone(client.finish().ack, "the last ack was said already")

    def test_numbers_stored_alike_make_one_record(self):
        lines = [record(collectedAt="2026-11-03T00:00:00Z", metrics={"x": 0})]
        text = encode(lines[0]).decode()
        spelled = ["100", "1e2", "0.1E+3", "1.0", "10e-1", "-0", "0", "100.0"]
        replies = self.daemon().send(*[text.replace('"x": 0', f'"x": {s}').replace('"x":0', f'"x":{s}') for s in spelled])
        self.assertEqual(replies.counts(), (8, 4, 4, 0))
        self.assertEqual(self.db.value("SELECT string_agg(metrics->>'x', ' ' ORDER BY metrics->>'x') FROM spending"),
                         "0 1.0 100 100.0")

    def test_line_too_long(self):
        good = encode(record())
        at_limit = good[:-1] + b" " * (2048 - len(good)) + b"}"
        replies = self.conversation(b"\n".join([good, at_limit, at_limit + b"\r", at_limit + b" ", b"x" * 5_000_000,
                                                encode(record(amountCents=3)), b"y" * 70_000]),
                                    limits__max_line_bytes=2048)
        self.assertEqual(replies.codes(), {4: "line_too_long", 5: "line_too_long", 7: "line_too_long"})
        self.assertEqual(replies.counts(), (7, 2, 2, 3))

    def test_a_line_of_the_largest_size(self):
        good = encode(record())
        big = good[:-1] + b',"metrics":{"text":"' + b"x" * (1048576 - len(good) - 22) + b'"}}'
        big += b" " * (1048576 - len(big))
        replies = self.conversation(b"\n".join([big, good, big + b" "]))
        self.assertEqual(replies.codes(), {3: "line_too_long"})
        self.assertEqual(replies.counts(), (3, 2, 0, 1))

    def test_unfinished_lines_beyond_the_memory_limit(self):
        """Unfinished lines fill the memory, and nothing in flight will free any: the lines must still be read to their end."""
        d = self.daemon(limits__memory_bytes="16M", limits__max_line_bytes="4M")
        good = encode(record())
        line = good[:-1] + b',"metrics":{"text":"' + b"x" * 3_900_000 + b'"}}'
        clients = [d.client() for _ in range(8)]
        senders = [threading.Thread(target=client.send_bytes, args=(line[:-10],)) for client in clients]
        for sender in senders:
            sender.start()
        time.sleep(0.5)
        results = []
        finishers = [threading.Thread(target=lambda c=client, s=sender: (s.join(), c.send_bytes(line[-10:]),
                                                                         results.append(c.finish().counts())))
                     for client, sender in zip(clients, senders)]
        for finisher in finishers:
            finisher.start()
        for finisher in finishers:
            finisher.join(60)
        self.assertEqual(sum(counts[1] + counts[2] for counts in results), 8)

    def test_every_bad_line_is_rejected_and_affects_no_other(self):
        bad = [b"x", b'{"a":1', record(nope=1), record(currency="usd"), record(platform=None),
               record(amountCents=1.5), record(externalId="none"), record(accountExternalId="none"),
               b"\xff\xfe", b"[]"]
        lines, codes = [], {}
        names = ["bad_json", "bad_json", "unknown_field", "bad_value", "missing_field", "bad_value",
                 "unknown_ad_object", "unknown_account", "bad_json", "bad_type"]
        for i in range(2000):
            if i % 7 == 3:
                codes[i + 1] = names[i % 10]
                lines.append(bad[i % 10])
            else:
                lines.append(record(amountCents=i))
        replies = self.daemon().send(*lines)
        self.assertEqual(replies.codes(), codes)
        self.assertEqual(replies.counts(), (2000, 2000 - len(codes), 0, len(codes)))

    def test_a_client_that_does_not_read_is_paused(self):
        d = self.own_daemon()
        client = d.client()
        total = 200_000
        data = b"x\n" * total
        sent = 0
        client.sock.setblocking(False)
        quiet_since = time.monotonic()
        while sent < len(data) and time.monotonic() - quiet_since < 1.0:
            try:
                sent += client.sock.send(data[sent:sent + 65536])
                quiet_since = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        self.assertLess(sent, len(data), "the daemon took lines without end while nobody read its replies")
        self.assertLess(d.memory_peak(), 400 << 20 if "asan" in d.process.args[0] else 64 << 20)
        # others are served meanwhile
        self.assertEqual(d.send(record()).counts(), (1, 1, 0, 0))
        # and nothing was dropped
        client.sock.settimeout(60)
        sender = threading.Thread(target=lambda: (client.send_bytes(data[sent:]),
                                                  client.sock.shutdown(socket.SHUT_WR)))
        sender.start()
        replies = client.drain()
        sender.join()
        self.assertEqual(replies.counts(), (total, 0, 0, total))
        self.assertEqual(len(replies.rejects), total)

    def test_a_client_that_vanishes(self):
        d = self.daemon()
        client = d.client()
        client.send(*[record(amountCents=i) for i in range(1000)])
        client.send_bytes(b'{"half a li')
        client.close()
        wait_until(lambda: self.db.count() == 1000, "what was received is stored")
        self.assertEqual(d.send(record(amountCents=-1)).counts(), (1, 1, 0, 0))

    def test_many_connections_at_once(self):
        d = self.daemon()
        clients = [d.client() for _ in range(200)]
        for i, client in enumerate(clients):
            client.send(*[record(amountCents=i * 100 + n) for n in range(50)])
        for client in clients:
            self.assertEqual(client.finish().counts(), (50, 50, 0, 0))
        self.assertEqual(self.db.count(), 200 * 50)

    def test_connection_limit(self):
        d = self.daemon(limits__max_connections=2)
        first, second, third = d.client(), d.client(), d.client()
        self.assertEqual(third.reply(), {"closing": "too_many_connections"})
        self.assertIsNone(third.reply())
        first.finish()
        wait_until(lambda: d.send(record()).ack, "a place became free")
        second.finish()


class Listening(TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()

    def test_tcp_v4_and_v6(self):
        for host, family in (("127.0.0.1", socket.AF_INET), ("[::1]", socket.AF_INET6)):
            if family == socket.AF_INET6 and not pathlib.Path("/proc/net/if_inet6").exists():
                continue
            d = self.daemon(listen__tcp=f"{host}:0", listen__unix="")
            port = int(d.log().split(" port ")[1].split()[0])
            sock = socket.socket(family)
            sock.connect((host.strip("[]"), port))
            client = Client(sock)
            client.send(record(collectedAt=None))
            self.assertEqual(client.finish().counts(), (1, 1, 0, 0))

    def test_tcp_is_loopback_only(self):
        d = self.daemon()
        d.stop()
        d.settings["listen.tcp"] = "0.0.0.0:0"
        d.start(wait=False)
        self.assertEqual(d.process.wait(20), 1)
        self.assertIn("only loopback", d.log())

    def test_socket_mode(self):
        for mode in ("0600", "0666"):
            d = self.daemon(listen__unix_mode=mode)
            self.assertEqual(stat.S_IMODE(os.stat(d.socket).st_mode), int(mode, 8))
            d.stop()
            self.assertFalse(os.path.exists(d.socket))

    def test_stale_socket_is_replaced_and_a_live_one_refused(self):
        d = self.daemon()
        d.kill()
        self.assertTrue(os.path.exists(d.socket))
        d.start()
        self.assertEqual(d.send(record()).counts(), (1, 1, 0, 0))
        other = self.daemon(listen__unix=d.dir + "/other.sock")
        other.stop()
        other.settings["listen.unix"] = d.socket
        other.start(wait=False)
        self.assertEqual(other.process.wait(20), 1)
        self.assertIn("another daemon has it", other.log())
        self.assertEqual(d.send(record()).counts(), (1, 0, 1, 0))

    def test_a_file_at_the_sockets_path_is_kept(self):
        d = self.daemon()
        d.stop()
        pathlib.Path(d.socket).write_text("precious")
        d.start(wait=False)
        self.assertEqual(d.process.wait(20), 1)
        self.assertEqual(pathlib.Path(d.socket).read_text(), "precious")


class Stopping(TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()

    def test_a_paused_client_is_notified_of_the_stop(self):
        """What the client still sends after the end was announced is read, so that the kernel does not reset the connection."""
        d = self.daemon(listen__tcp="127.0.0.1:0", batch__rows=1000, database__writers=1, daemon__workers=1)
        port = int(re.search(r"listening on TCP \S+ port (\d+)", d.log())[1])
        with self.db.locked("spending", "ACCESS EXCLUSIVE"):
            greedy = d.client()
            greedy.feed(*numbered(60000))
            time.sleep(1)
            late = Client(socket.create_connection(("127.0.0.1", port)))
            time.sleep(0.3)
            d.signal(signal.SIGTERM)
            self.assertEqual(late.reply(), {"ack": 0, "stored": 0, "duplicate": 0, "rejected": 0})
            self.assertEqual(late.reply(), {"closing": "shutdown"})
            self.assertIsNone(late.reply())
        time.sleep(0.4)  # others' lines are settled meanwhile
        late.send_bytes(b"x" * 1000)
        time.sleep(0.8)  # until the daemon has waited long enough for the client to close
        self.assertEqual(late.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)
        late.close()
        greedy.drain()
        self.assertEqual(d.process.wait(30), 0)

    def test_drain(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            d = self.daemon(batch__linger_ms=5000)
            client = d.client()
            idle = d.client()
            lines = [record(amountCents=n, collectedAt=None) for n in range(3000)]
            before = self.db.count()
            client.send(*lines)
            client.send_bytes(b'{"half a li')
            wait_until(lambda: "accepted" in d.log() or True, "")
            time.sleep(0.3)
            started = time.monotonic()
            d.signal(number)
            replies = client.drain()
            self.assertEqual(replies.closing, "shutdown")
            self.assertEqual(replies.counts(), (3000, 3000, 0, 0))
            self.assertEqual(idle.drain().closing, "shutdown")
            self.assertEqual(d.process.wait(20), 0)
            self.assertLess(time.monotonic() - started, 4, "the batch's linger was waited for")
            self.assertEqual(self.db.count(), before + 3000)

    def test_a_client_that_keeps_sending_gets_its_last_acks(self):
        d = self.daemon()
        client = d.client()
        stop = threading.Event()
        sent = 0

        def flood():
            nonlocal sent
            try:
                while not stop.is_set():
                    client.send_bytes(b"".join(encode(record(amountCents=sent + n)) + b"\n" for n in range(100)))
                    sent += 100
            except OSError:
                pass

        sender = threading.Thread(target=flood)
        sender.start()
        client.wait_ack(2000)
        d.signal(signal.SIGTERM)
        replies = client.drain()
        stop.set()
        sender.join()
        self.assertEqual(replies.closing, "shutdown")
        self.assertEqual(d.process.wait(20), 0)
        self.assertEqual(self.db.count(), replies.ack["stored"])

    def test_a_client_that_does_not_read_cannot_delay_the_stop(self):
        d = self.daemon(shutdown__timeout_ms=1000)
        client = d.client()
        client.sock.setblocking(False)
        try:
            while True:
                client.sock.send(b"x\n" * 50000)
                time.sleep(0.01)
        except BlockingIOError:
            pass
        self.assertEqual(d.stop(timeout=10), 0)
        self.assertIn("shutdown.timeout_ms has elapsed", d.log())


if __name__ == "__main__":
    unittest.main()
