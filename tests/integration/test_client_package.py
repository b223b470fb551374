"""The TypeScript package as its users get it: packed, installed, imported in every way; its validator compared with the
daemon's decoder."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from lib.harness import ROOT, TestCase, account, ad_object, encode, record, run_ingestd
from lib.npm import client_package, need_node, packages, run_npm

HERE = ROOT / "tests/integration/client_package"


class Project:
    """A folder where the packed package is installed, with the tools and scripts of HERE."""

    def __init__(self, test):
        need_node(20)
        folder = tempfile.TemporaryDirectory(prefix="ingestd-client-")
        test.addClassCleanup(folder.cleanup)
        self.place = pathlib.Path(folder.name)
        built, tools = client_package(), packages(HERE)
        self.tgz = self.place / run_npm(built, "npm", "pack", "--silent", "--pack-destination", self.place).strip().splitlines()[-1]
        (self.place / "node_modules").mkdir()
        for path in (tools / "node_modules").iterdir():
            (self.place / "node_modules" / path.name).symlink_to(path)
        installed = self.place / "node_modules/boris-ingestd-client"
        installed.mkdir()
        subprocess.run(["tar", "-xzf", self.tgz, "-C", installed, "--strip-components=1"], check=True)
        (self.place / "package.json").write_text('{"type": "module"}')
        for script in HERE.iterdir():
            if script.name != "package.json":
                shutil.copy(script, self.place)

    def run(self, *command, stdin=None):
        done = subprocess.run(command, cwd=self.place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
                              input=stdin)
        if done.returncode:
            raise AssertionError(f"{command}: {done.stdout}")
        return done.stdout


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Project(cls)

    def test_what_is_packed(self):
        names = subprocess.run(["tar", "-tzf", self.project.tgz], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        for name in ("LICENSE", "README.md", "schema.json", "dist/esm/index.js", "dist/cjs/index.js", "dist/esm/index.d.ts"):
            self.assertIn(f"package/{name}", names)
        self.assertFalse([name for name in names if name.endswith(".ts") and not name.endswith(".d.ts")])
        package = json.loads((self.project.place / "node_modules/boris-ingestd-client/package.json").read_text())
        self.assertNotIn("dependencies", package)
        self.assertTrue(package["license"])

    def test_publint_and_attw_report_nothing(self):
        self.project.run("node_modules/.bin/publint" if (self.project.place / "node_modules/.bin").exists() else "publint",
                         "node_modules/boris-ingestd-client", "--strict")
        self.project.run("node_modules/.bin/attw", str(self.project.tgz), "--no-color", "--exclude-entrypoints", "schema.json")

    def compile(self, *files, **options):
        settings = {"target": "es2022", "module": "nodenext", "strict": True, "exactOptionalPropertyTypes": True, "noEmit": True,
                    "noUncheckedIndexedAccess": True, "lib": ["ES2022", "ESNext.Disposable"], "types": ["node"], "skipLibCheck": True} | options
        (self.project.place / "tsconfig.json").write_text(json.dumps({"compilerOptions": settings, "files": files}))
        self.project.run("node", "node_modules/typescript/bin/tsc", "-p", ".")

    def test_types_of_a_strict_consumer(self):
        self.compile("strict.ts")

    def test_samples_of_the_readme(self):
        text = (ROOT / "src/clients/node/README.md").read_text()
        samples = text.split("```ts\n")[1:]
        self.assertLessEqual(len(samples[0].split("```")[0].splitlines()), 15)
        for n, sample in enumerate(samples):
            (self.project.place / f"sample{n}.ts").write_text(sample.split("```")[0])
        self.compile(*(f"sample{n}.ts" for n in range(len(samples))))

    def test_commonjs_and_the_fake_daemon(self):
        out = json.loads(self.project.run("node", "use.cjs"))
        self.assertEqual(out["sent"], [2, 1])
        self.assertEqual(out["rejected"], [True, [[0, "unknown_ad_object", "externalId"], [1, "bad_value", "currency"]], 2])
        self.assertEqual(out["outcome"], {"status": "stored", "index": 0})
        self.assertEqual((out["again"], out["waited"], out["closed"], out["piped"]), ("stored", "stored", 3, 3000))
        self.assertEqual((out["gone"], out["aborted"]), (["no_socket", 0], ["AbortError", "aborted", 0]))

    def test_esbuild_and_tsx(self):
        self.project.run("node_modules/.bin/esbuild", "use.cjs", "--bundle", "--platform=node", "--outfile=bundle.cjs")
        self.assertEqual(json.loads(self.project.run("node", "bundle.cjs"))["piped"], 3000)
        (self.project.place / "tsx.ts").write_text("import { minorUnits } from 'boris-ingestd-client/convert';\n"
                                                   "console.log(String(minorUnits('12.34', 'USD')) satisfies string);\n")
        self.assertEqual(self.project.run("node_modules/.bin/tsx", "tsx.ts").strip(), "1234")

    def test_conversions(self):
        self.assertEqual(self.project.run("node", "convert.mjs", "1").strip(), "good")

    def test_credentials(self):
        self.assertEqual(self.project.run("node", "jwe.mjs").strip(), "good")


class Rows(TestCase):
    """Credentials that the commands encrypt are read by jose, and those of the package by the commands."""

    @classmethod
    def setUpClass(cls):
        cls.project = Project(cls)
        super().setUpClass()

    def test_both_ways(self):
        key = {"kty": "oct", "kid": "2026", "k": base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()}
        path = self.project.place / "keys.json"
        path.write_text(json.dumps({"keys": [key]}))
        option = f"--set=credentials.key_file={path}"
        secret = {"accessToken": "\u00e4\U0001f600", "nested": [1, {"a": None}]}
        made = run_ingestd(self.db, "connection", "create", "META", option, stdin=json.dumps(secret)).stdout.strip()
        stored = self.db.value(f"SELECT credentials FROM platform_connections WHERE id = '{made}'")
        self.assertEqual(json.loads(self.project.run("node", "jwe_row.mjs", "decrypt", made, json.dumps(key), stdin=stored)), secret)
        theirs = self.project.run("node", "jwe_row.mjs", "encrypt", made, json.dumps(key), stdin=json.dumps(secret | {"n": 2}))
        self.db.execute(f"UPDATE platform_connections SET credentials = $j${theirs}$j$ WHERE id = '{made}'")
        shown = run_ingestd(self.db, "connection", "show", made, option)
        self.assertEqual(json.loads(shown.stdout), secret | {"n": 2}, shown.stderr)
        self.assertIn("(kid 2026)", run_ingestd(self.db, "connection", "list", option).stdout)


class Judges(TestCase):
    """The validator and the daemon give the same verdicts."""

    @classmethod
    def setUpClass(cls):
        cls.project = Project(cls)
        super().setUpClass()

    def lines(self, connection):
        good = record()
        changes = [
            ("platform", "X"), ("platform", 1), ("platform", None), ("connectionId", "x"), ("connectionId", connection.upper()),
            ("externalId", ""), ("externalId", 1), ("externalId", "x" * 256), ("accountExternalId", "a\0b"), ("externalId", "\ud800"),
            ("periodStart", "2026-11-01"), ("periodStart", "2026-02-30T00:00:00Z"), ("periodStart", "2026-11-01T00:00:60Z"),
            ("periodStart", "2026-11-01t00:00:00.123456z"), ("periodStart", "2026-11-01T00:00:00.1234567Z"), ("periodStart", good["periodEnd"]),
            ("periodEnd", "2026-11-02T00:00:00+16:00"), ("periodEnd", "2026-11-02T00:00:00+15:59"), ("collectedAt", "0000-01-01T00:00:00Z"),
            ("collectedAt", None), ("amountCents", "9223372036854775807"), ("amountCents", "-9223372036854775808"),
            ("amountCents", "9223372036854775808"), ("amountCents", "01"), ("amountCents", " 1"), ("amountCents", True), ("amountCents", None),
            ("amountCents", 2 ** 53), ("amountCents", 2 ** 53 - 1), ("currency", "usd"), ("currency", "USDX"), ("currency", 1),
            ("clicks", -1), ("clicks", None), ("clicks", "5"), ("conversions", 1.5), ("impressions", []), ("metrics", []), ("metrics", "x"),
            ("metrics", None), ("metrics", {"a": "\0"}), ("metrics", {"a": {"b": [1, None, True]}}), ("id", "x"), ("kind", "x"), ("kind", 1),
            ("kind", None), ("unknown", 1), ("name", "x"), ("type", "AD"),
        ]
        lines = [encode(good).decode()] + [encode(good | {field: value}).decode() for field, value in changes]
        lines += [encode({name: value for name, value in good.items() if name != field}).decode() for field in good]
        texts = ["3.0", "3e0", "30e-1", "3.5", "1e400", "0e999", "1e-400", "9007199254740993", "-0", "-0.0", "123456789012345678901e-18"]
        lines += [encode(good).decode().replace('"amountCents":868', f'"amountCents":{text}') for text in texts]
        lines += [encode(good | {"metrics": {}}).decode().replace('"metrics":{}', f'"metrics":{{"a":{text}}}') for text in
                  ("1e131071", "1e131072", "1e-16383", "1e-16384", "01", "+1", ".5", "NaN", "[1,]", '1,"a":2', '"\\x"', '"\\ud83d\\ude00"')]
        lines += ["[]", "1", "null", '"x"', "{", "{}", "{} x", '{"kind":"adObject"}', "\ufeff{}"]
        lines += [encode(account(connection, **change)).decode() for change in
                  ({}, {"timezone": ""}, {"timezone": 1}, {"name": None}, {"name": 1}, {"currency": "E"}, {"platform": "META"})]
        lines += [encode(ad_object("9", **change)).decode() for change in
                  ({}, {"type": "X"}, {"status": "X"}, {"parentExternalId": "9"}, {"parentExternalId": "c"}, {"platformData": []},
                   {"platformData": {"a": 1}}, {"name": "x"}, {"currency": "USD"})]
        lines.append(encode(ad_object("8", "AD", "8")).decode())
        return lines

    def test_validator_and_daemon_agree(self):
        connection = self.db.add_account()
        lines = [line for line in self.lines(connection) if not line.startswith("\ufeff")]
        path = self.project.place / "lines"
        path.write_text("\n".join(lines) + "\n", errors="surrogatepass")
        replies = self.daemon().send(*(line.encode(errors="surrogatepass") for line in lines))
        rejects = {n: [reject["code"], reject.get("field")] for n, reject in replies.rejects.items()}
        judged = [json.loads(text) for text in self.project.run("node", "judge.mjs", "lines").splitlines()]
        self.assertEqual(len(judged), len(lines))
        database = {"unknown_account", "unknown_ad_object", "ambiguous_account", "refused_by_database"}
        for n, (line, verdict) in enumerate(zip(lines, judged, strict=True), start=1):
            expected = rejects.get(n)
            if expected and expected[0] in database:
                expected = None
            with self.subTest(line=line[:200]):
                if expected and expected[0] == "bad_json":
                    self.assertEqual(verdict["reject"] and verdict["reject"][0], "bad_json")
                    continue
                self.assertEqual(verdict["reject"], expected)
                if expected is None:
                    self.assertTrue(verdict["bySchema"], "the JSON Schema takes it")


if __name__ == "__main__":
    unittest.main()
