"""The status page in a real browser with a real daemon: what it shows is true, everybody can read it, and no text from
outside becomes more than text."""

import json
import os
import re
import signal
import tempfile
import unittest
import urllib.request

from lib.browser import Browser, Page
from lib.harness import TestCase, numbered, record, wait_until

MARKUP = '<img src=x onerror="document.title=1">'

# The contrast of each text with what is behind it, and of the charts' lines with their card (WCAG 2.2, 1.4.3 and 1.4.11).
CONTRASTS = """(() => {
    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => {
        const [r, g, b] = channels(colour).map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort(); return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05); };
    const behind = (element) => {
        for (; element; element = element.parentElement) {
            const colour = getComputedStyle(element).backgroundColor;
            if (channels(colour)[3] !== 0) return colour;
        }
        return getComputedStyle(document.documentElement).backgroundColor;
    };
    const found = [];
    for (const element of document.querySelectorAll("body *")) {
        const says = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        const trace = element.matches(".trace");
        if (!says && !trace || !element.checkVisibility() || element.matches("script, .for-readers")) continue;
        const style = getComputedStyle(element), colour = trace ? style.stroke : element.matches("svg *") ? style.fill : style.color;
        found.push([trace ? 3 : 4.5, contrast(colour, behind(element)), element.textContent.slice(0, 40) || element.parentElement.className]);
    }
    return found;
})()"""

STRUCTURE = """(() => {
    const all = (selector) => [...document.querySelectorAll(selector)];
    const ids = all("[id]").map((element) => element.id);
    return {
        lang: document.documentElement.lang,
        landmarks: all("body > header, body > main, body > footer").length,
        titles: all("h1").length,
        nameless: all("section, figure").filter((e) => !document.getElementById(e.getAttribute("aria-labelledby"))).length,
        lost: all("[aria-describedby], [aria-controls]").filter((e) => !document.getElementById(
            e.getAttribute("aria-describedby") ?? e.getAttribute("aria-controls"))).length,
        scopeless: all("th").filter((e) => !e.scope).length,
        captionless: all("table").filter((e) => !e.caption?.textContent).length,
        pictures: all("svg[role=img][aria-label]").length,
        silent: all("svg:not([role=img]):not([aria-hidden=true])").length,
        twice: ids.filter((id, n) => ids.indexOf(id) !== n),
        live: all("[role=status], [aria-live]").length,
    };
})()"""


class PageCase(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.db.add_account()

    def folder(self):
        folder = tempfile.TemporaryDirectory(prefix="ingestd-")
        self.addCleanup(folder.cleanup)
        return folder.name

    def watched(self, **settings):
        return self.daemon(http__listen="127.0.0.1:0", **settings)

    def open(self, daemon, **how):
        page = Page(self.browser, f"{daemon.http()}/", **how)
        self.addCleanup(page.close)
        wait_until(lambda: page.text("facts"), "the first answer")
        return page

    def rows(self, page, table):
        """The table's rows, each as {column: text}."""
        return page.evaluate(f"""[...document.getElementById("{table}").tBodies[0].rows].map((row) =>
            Object.fromEntries([...row.cells].map((cell) => [cell.dataset.label, cell.textContent])))""")

    def wait_text(self, page, element, pattern):
        return wait_until(lambda: re.search(pattern, page.text(element)), f"{pattern} in {element}: {page.text(element)}")

    def check_looks(self, page):
        """In light and dark, on phone, tablet and desktop: no sideways scrolling, and enough contrast."""
        for scheme in ("light", "dark"):
            page.prefer(color_scheme=scheme)
            for width in (360, 820, 1280):
                page.resize(width, 800)
                widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
                self.assertEqual(widths, [width, width], f"{scheme}, {width}: {page.text('notices')}")
            contrasts = page.evaluate(CONTRASTS)
            self.assertGreater(len(contrasts), 60)
            self.assertEqual([found for found in contrasts if found[1] < found[0]], [], scheme)

    def check_quiet(self, page, daemon):
        """There were no complaints, and no requests to anything but the daemon."""
        self.assertEqual(page.complaints, [])
        self.assertEqual({url.removeprefix(daemon.http()) for url in page.requests}, {"/", "/status.json"})


class Truth(PageCase):
    def test_counts_rejects_and_connections_match_the_clients(self):
        daemon = self.watched(spool__dir=self.folder())
        page = self.open(daemon)
        self.assertIn("No line has been rejected", page.text("codes-empty"))
        self.assertIn("No client is connected", page.text("connections-empty"))
        client = daemon.client()
        self.addCleanup(client.close)
        lines = [*numbered(1234), *numbered(7), "", MARKUP, record(externalId="99"), record(**{MARKUP: 1})]
        client.send(*lines)
        ack = client.wait_ack(len(lines))
        wait_until(lambda: self.rows(page, "lines")[0]["since the start"] == f"{len(lines):,}", "the received lines")
        counts = {row["Lines"]: int(row["since the start"].replace(",", "")) for row in self.rows(page, "lines")}
        self.assertEqual(counts, {"received": len(lines), "stored": ack["stored"], "duplicate": ack["duplicate"], "spooled": 0,
                                  "rejected": ack["rejected"], "in flight": 0, "empty": 1})
        self.assertEqual({row["Code"]: row["Lines"] for row in self.rows(page, "codes")},
                         {"bad_json": "1", "unknown_ad_object": "1", "unknown_field": "1"})
        (connection,) = self.rows(page, "connections")
        self.assertEqual([connection[key] for key in ("Peer", "Lines", "Stored", "Duplicate", "Rejected", "In flight")],
                         [f"uid {os.getuid()}, pid {os.getpid()}", f"{len(lines):,}", f"{ack['stored']:,}", "7", "3", "0"])
        self.assertRegex(connection["State"], "^idle for ")
        self.assertIn("ready", page.text("state"))
        self.assertIn("connected", page.text("d-state"))
        self.assertIn("empty", page.text("s-state"))
        self.check_refused(page, client, daemon, lines)
        wait_until(lambda: page.evaluate('document.querySelector(".stored .trace").getAttribute("d")').count("L") > 1, "a chart")
        self.assertRegex(page.evaluate('document.getElementById("rate-summary").textContent'), r"[1-9][\d,]* at most")
        self.check_looks(page)
        self.check_quiet(page, daemon)

    def check_refused(self, page, client, daemon, lines):
        """The page shows each reject as its client got it, and markup in it as text."""
        client.send(MARKUP)
        replies = [client.reply()]
        self.assertEqual(replies[0]["reject"], len(lines) + 1)
        wait_until(lambda: self.rows(page, "refused")[0]["Code"] == "bad_json × 2", "the same line again")
        newest = self.rows(page, "refused")[0]
        self.assertEqual([newest["Line"], newest["Message"]], [f"{len(lines) + 1:,}", replies[0]["message"]])
        self.assertIn(MARKUP, "".join(row["Field"] + row["Message"] for row in self.rows(page, "refused")))
        self.assertEqual(page.evaluate('document.querySelectorAll("img").length'), 0)
        self.assertNotEqual(page.evaluate("document.title"), "1")

    def test_a_client_that_does_not_read_is_shown_paused(self):
        daemon = self.watched()
        page = self.open(daemon)
        client = daemon.client()
        self.addCleanup(client.close)
        client.sock.setblocking(False)
        refused = b"x\n" * 10000

        def paused():
            try:
                client.sock.send(refused)
            except BlockingIOError:
                pass
            return any("paused" in row["State"] for row in self.rows(page, "connections"))

        wait_until(paused, "a paused connection")
        self.assertEqual(self.rows(page, "connections")[0]["State"], "▮▮ paused: does not read its replies")
        self.wait_text(page, "f-paused", "▮▮ 1 paused")
        self.check_looks(page)
        self.check_quiet(page, daemon)


class Trouble(PageCase):
    def test_database_unavailable_then_stopping_then_stopped(self):
        self.server.need_private()
        daemon = self.watched()
        page = self.open(daemon)
        self.wait_text(page, "state", "^●\n?ready")
        self.server.stop_at_once()
        try:
            self.wait_text(page, "state", "not ready")
            self.wait_text(page, "d-state", "unavailable for")
            self.wait_text(page, "notices", "Not ready.*Clients are paused")
            self.assertIn("not ready", page.evaluate("document.title"))
            client = daemon.client()
            self.addCleanup(client.close)
            client.send(*numbered(10))
            wait_until(lambda: self.rows(page, "connections"), "the connection")
            self.check_looks(page)
            self.check_quiet(page, daemon)
            daemon.signal(signal.SIGTERM)
            self.wait_text(page, "state", "stopping")
            self.wait_text(page, "notices", "Stopping")
            daemon.signal(signal.SIGTERM)
            daemon.process.wait(30)
            self.wait_text(page, "state", "not reachable")
            self.wait_text(page, "notices", "cannot be reached. Showing data from .*systemctl status")
            self.check_looks(page)
        finally:
            self.server.start()

    def test_lines_are_spooled_and_replayed(self):
        self.server.need_private()
        daemon = self.watched(spool__dir=self.folder())
        page = self.open(daemon)
        self.server.stop_at_once()
        try:
            client = daemon.client()
            self.addCleanup(client.close)
            client.send(*numbered(30))
            self.assertEqual(client.wait_ack(30)["spooled"], 30)
            self.wait_text(page, "s-lines", "^30$")
            self.assertIn("filling", page.text("s-state"))
            self.wait_text(page, "d-state", "unavailable for")
            self.assertIn("are spooled", page.text("notices"))
            self.assertEqual([row["Spooled"] for row in self.rows(page, "connections")], ["30"])
            self.check_looks(page)
        finally:
            self.server.start()
        self.wait_text(page, "s-state", "empty")
        self.wait_text(page, "s-lines", "^0$")
        self.wait_text(page, "d-state", "connected")
        self.wait_text(page, "notices", "^$")
        self.check_quiet(page, daemon)


class Everybody(PageCase):
    def test_structure_and_headers(self):
        daemon = self.watched()
        page = self.open(daemon)
        self.assertEqual(page.evaluate(STRUCTURE), {
            "lang": "en", "landmarks": 3, "titles": 1, "nameless": 0, "lost": 0, "scopeless": 0, "captionless": 0, "pictures": 2,
            "silent": 0, "twice": [], "live": 1})
        nodes = page.call("Accessibility.getFullAXTree")["nodes"]
        nameless = [node["role"]["value"] for node in nodes if not node["ignored"] and not node.get("name", {}).get("value")
                    and node["role"]["value"] in ("button", "link", "slider", "table", "image", "figure", "region", "heading")]
        self.assertEqual(nameless, [])
        with urllib.request.urlopen(f"{daemon.http()}/") as answer:
            policy = answer.headers["Content-Security-Policy"]
        self.assertRegex(policy, "^default-src 'none'; style-src 'sha256-[^ ]+'; script-src 'sha256-[^ ]+'; connect-src 'self';")
        page.prefer(reduced_motion="reduce")
        moving = 'getComputedStyle(document.querySelector("#m-bar i")).transitionDuration'
        self.assertEqual(page.evaluate(moving), "0s")
        page.prefer(reduced_motion="no-preference")
        self.assertNotEqual(page.evaluate(moving), "0s")
        self.check_quiet(page, daemon)

    def focus(self, page):
        """What has the focus, and whether that is visible."""
        return page.evaluate("""(() => { const e = document.activeElement, style = getComputedStyle(e);
            return [e.id || e.getAttribute("role") || e.tagName, style.outlineStyle !== "none" && style.outlineWidth !== "0px"]; })()""")

    def test_by_keyboard(self):
        daemon = self.watched()
        daemon.send(*numbered(10))
        page = self.open(daemon)
        reached = []
        for _ in range(9):
            page.press("Tab")
            name, visible = self.focus(page)
            self.assertTrue(visible, name)
            reached.append(name)
            if name == "slider":
                self.check_cursor(page)
        self.assertEqual(reached, ["hold", "slider", "SUMMARY", "slider", "SUMMARY", "A", "A", "A", "A"])
        self.check_hold(page, daemon)
        self.check_quiet(page, daemon)

    def check_cursor(self, page):
        said = 'document.activeElement.getAttribute("aria-valuetext")'
        page.press("ArrowLeft")
        page.press("ArrowLeft")
        self.assertEqual(page.evaluate('document.activeElement.getAttribute("aria-valuenow")'), "-2")
        self.assertRegex(page.evaluate(said), r"^\d\d:\d\d:\d\d: (stored|half within) .*, (rejected|99 % within) ")
        page.press("Home")
        self.assertEqual(page.evaluate('document.activeElement.getAttribute("aria-valuenow")'), "-299")

    def check_hold(self, page, daemon):
        """A held value stays unchanged until it is released."""
        page.evaluate('document.getElementById("hold").focus()')
        page.press("Enter")
        self.assertEqual(page.evaluate('document.getElementById("hold").getAttribute("aria-pressed")'), "true")
        before = self.rows(page, "lines")[0]["since the start"]
        daemon.send(*numbered(5, start=100))
        wait_until(lambda: json.load(urllib.request.urlopen(f"{daemon.http()}/status.json"))["lines"]["stored"] == 15, "the lines")
        page.evaluate("new Promise((done) => setTimeout(done, 1500))")
        self.assertEqual(self.rows(page, "lines")[0]["since the start"], before)
        page.press("Enter")
        wait_until(lambda: self.rows(page, "lines")[0]["since the start"] == "15", "the page goes on")


if __name__ == "__main__":
    unittest.main()
