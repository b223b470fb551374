"""Makes the pictures of config/README.md: a daemon in a private cluster, sync jobs that send more and less, some lines that are
refused, one client that does not read its replies; the status page in light, dark and on a phone, `top` and `report` at 80 and
160 columns. INGESTD names the daemon.

    python3 tests/lib/pictures.py [--seconds N] [FOLDER]          # by default four minutes, into config/pictures"""

import argparse
import contextlib
import math
import pathlib
import random
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from lib.browser import Browser, Page
from lib.client import encode
from lib.harness import INGESTD, ROOT, Database, Daemon, Server, account, ad_object, record, wait_until
from lib.terminal import SEQUENCES, Terminal

PLACE = ROOT / "config/pictures"
JOBS = ("meta-sync", "meta-sync", "meta-hourly", "google-sync")
MISTAKES = [{"externalId": "23851234567890123"}, {"amountCents": "8.50"}, {"currency": "usd"}, {"clics": 3}]
CAMPAIGNS = {"c1": "Brand search", "c2": "Winter sale", "c3": "App installs"}
PAGES = {"page-light": (1200, 908, False), "page-dark": (1200, 908, True), "page-phone": (390, 844, False)}
COLUMNS = (80, 160)
ROWS = {80: 24, 160: 40}
SECTIONS = "[client sync-jobs]\npeer = user:root\n"


def names():
    return [f"{page}.webp" for page in PAGES] + [f"{what}-{columns}.txt" for what in ("top", "report") for columns in COLUMNS]


def hierarchy(db, daemon):
    """Three campaigns and what they cost in two weeks, for the report."""
    connection = db.create_connection()
    lines = [account(connection, "act_2", name="Boris, Europe", currency="EUR", timezone="Europe/Berlin")]
    lines += [ad_object(key, name=name, accountExternalId="act_2") for key, name in CAMPAIGNS.items()]
    for day in range(1, 15):
        for n, key in enumerate(CAMPAIGNS):
            cents = int(20_000 * (1.4 + math.sin(day / 2 + 2 * n)) * (n + 1))
            lines.append(record(accountExternalId="act_2", externalId=key, currency="EUR", amountCents=cents, impressions=cents // 3,
                                clicks=cents // 200, conversions=cents // 9000, periodStart=f"2026-11-{day:02}T00:00:00+01:00",
                                periodEnd=f"2026-11-{day + 1:02}T00:00:00+01:00", collectedAt="2026-11-20T06:00:00Z"))
    replies = daemon.send(*lines)
    assert replies.rejects == {}, replies.rejects


def job(daemon, number, ended):
    """A sync job: some thousand records a second in waves, one in a thousand of them with a mistake."""
    client = daemon.client()
    threading.Thread(target=client.drain, daemon=True).start()
    client.send({"kind": "hello", "client": JOBS[number], "version": "1.4.0"})
    wave, sent, rng = random.Random(number).random(), 0, random.Random(number)
    while not ended.wait(0.1):
        count = int(150 * (1.3 + math.sin(time.monotonic() / 25 + 2 * math.pi * wave)) * (0.8 + 0.4 * rng.random()))
        client.send_bytes(b"".join(line(rng, number, sent + n) for n in range(count)))
        sent += count
    client.sock.shutdown(socket.SHUT_WR)


def line(rng, number, n):
    fields = {"externalId": str(1 + n % 3), "amountCents": n, "impressions": number}
    return encode(record(**(fields | (rng.choice(MISTAKES) if rng.random() < 0.001 else {})))) + b"\n"


def deaf(daemon):
    """Sends what is refused, and reads no reply, until it is paused."""
    client = daemon.client()
    client.sock.setblocking(False)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            client.sock.send(b"not json\n" * 1000)
        except BlockingIOError:
            time.sleep(0.1)
    return client


@contextlib.contextmanager
def at_work(daemon):
    """Sync jobs that send until the end."""
    ended = threading.Event()
    jobs = [threading.Thread(target=job, args=(daemon, number, ended)) for number in range(len(JOBS))]
    for thread in jobs:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in jobs:
            thread.join()


def take_pages(browser, daemon, folder, pages):
    for name, (width, height, dark) in PAGES.items():
        page = pages[name]
        wait_until(lambda: page.text("facts"), "the page")
        page.screenshot(folder / f"{name}.webp", quality=75)


def take_terminals(daemon, db, folder):
    for columns in COLUMNS:
        terminal = Terminal(INGESTD, "top", "--url", daemon.http(), rows=ROWS[columns], columns=columns)
        try:
            terminal.wait_for(r"clients \d+-\d+ of")
            text = terminal.frame()
        finally:
            terminal.close()
        (folder / f"top-{columns}.txt").write_text("\n".join(row.rstrip() for row in text.replace("\r", "").split("\n")) + "\n")
        report = Terminal(INGESTD, "report", "--account", "act_2", "--from", "2026-11-01", "--to", "2026-11-15", "--bucket", "1w", "--by",
                          "campaign", rows=50, columns=columns, DATABASE_URL=db.url)
        try:
            assert report.wait() == 0, report.shown
            (folder / f"report-{columns}.txt").write_text(SEQUENCES.sub("", report.shown).replace("\r", ""))
        finally:
            report.close()


def take(db, folder, seconds, wait_for_a_pause=True):
    """All pictures, after the jobs have sent for @seconds."""
    with tempfile.TemporaryDirectory(prefix="ingestd-") as spool, contextlib.ExitStack() as stack:
        daemon = Daemon(db, config=SECTIONS, http__listen="127.0.0.1:0", spool__dir=f"{spool}/spool")
        stack.callback(daemon.close)
        browser = Browser()
        stack.callback(browser.close)
        db.add_account()
        hierarchy(db, daemon)
        if wait_for_a_pause:
            stack.callback(deaf(daemon).close)
        stack.enter_context(at_work(daemon))
        pages = {name: Page(browser, f"{daemon.http()}/", *how) for name, how in PAGES.items()}
        time.sleep(seconds)
        take_pages(browser, daemon, folder, pages)
        take_terminals(daemon, db, folder)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=240)
    parser.add_argument("folder", nargs="?", default=PLACE, type=pathlib.Path)
    arguments = parser.parse_args()
    server = Server()
    try:
        db = Database(server)
        arguments.folder.mkdir(exist_ok=True)
        take(db, arguments.folder, arguments.seconds)
        db.close()
    finally:
        server.close()


if __name__ == "__main__":
    main()
