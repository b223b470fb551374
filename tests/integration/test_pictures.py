"""The pictures of config/README.md can be made at any time, and show what the page says."""

import pathlib
import re
import tempfile
import unittest

from lib import pictures
from lib.harness import ROOT, TestCase

BYTES_MAX = 300_000


class Pictures(TestCase):
    def test_all_can_be_made(self):
        with tempfile.TemporaryDirectory(prefix="ingestd-") as folder:
            place = pathlib.Path(folder)
            pictures.take(self.db, place, seconds=2, wait_for_a_pause=False)
            self.assertEqual({path.name for path in place.iterdir()}, set(pictures.names()))
            for name, (width, height, _) in pictures.PAGES.items():
                data = (place / f"{name}.webp").read_bytes()
                self.assertEqual((data[:4], data[8:16]), (b"RIFF", b"WEBPVP8X"), name)  # RFC 9649, extended file format
                self.assertEqual([int.from_bytes(data[at:at + 3], "little") + 1 for at in (24, 27)], [width, height], name)
            for columns in pictures.COLUMNS:
                top, report = ((place / f"{what}-{columns}.txt").read_text() for what in ("top", "report"))
                self.assertIn("running, ready", top)
                self.assertRegex(top, r"\nsync-jobs ")
                self.assertRegex(top, r"\d  meta-sync \(uid")
                self.assertIn("Brand search", report)
                for text in (top, report):
                    self.assertLessEqual(max(map(len, text.splitlines())), columns)
                    self.assertNotIn("\x1b", text)

    def test_those_of_the_page_are_all_and_small(self):
        page = (ROOT / "config/README.md").read_text()
        linked = re.findall(r"\]\(pictures/([\w.-]+)\)", page)
        self.assertEqual(sorted(linked), sorted(pictures.names()), "each is linked once")
        found = list(pictures.PLACE.iterdir())
        self.assertEqual({path.name for path in found}, set(pictures.names()))
        self.assertLess(sum(path.stat().st_size for path in found), BYTES_MAX)


if __name__ == "__main__":
    unittest.main()
