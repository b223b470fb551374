"""The TypeScript package as its users get it: packed, installed, imported in every way; its validator compared with the
daemon's decoder."""

import base64
import json
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import tempfile
import unittest

from lib.consumer import Project
from lib.client import encode
from lib.harness import INGESTD, ROOT, TestCase, account, ad_object, record, run_ingestd
from lib.npm import need_node, run_npm
from test_differential import OBJECTS, Odd

HERE = ROOT / "tests/integration/client_package"


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Project(cls, HERE)

    def test_what_is_packed(self):
        names = subprocess.run(["tar", "-tzf", self.project.tgz], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        for name in ("LICENSE", "README.md", "schema.json", "dist/esm/index.js", "dist/cjs/index.js", "dist/esm/index.d.ts"):
            self.assertIn(f"package/{name}", names)
        self.assertFalse([name for name in names if name.endswith(".ts") and not re.search(r"\.d\.ts$|/samples/", name)])
        package = json.loads((self.project.place / "node_modules/boris-ingestd-client/package.json").read_text())
        self.assertNotIn("dependencies", package)
        self.assertTrue(package["license"])

    def test_publint_and_attw_report_nothing(self):
        self.project.run("node_modules/.bin/publint" if (self.project.place / "node_modules/.bin").exists() else "publint",
                         "node_modules/boris-ingestd-client", "--strict")
        self.project.run("node_modules/.bin/attw", str(self.project.tgz), "--no-color")

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

    def test_everything_public_is_documented(self):
        self.assertEqual(self.project.run("node", "documented.mjs").strip(), "")

    def test_behaviour(self):
        self.assertEqual(self.project.run("node", "behaviour.mjs").strip(), "good")

    def test_a_socket_that_the_user_may_not_open(self):
        path = str(self.project.place / "private.sock")
        with socket.socket(socket.AF_UNIX) as private:
            private.bind(path)
            private.listen()
            root = os.getuid() == 0
            os.chmod(path, 0o600 if root else 0)
            os.chmod(self.project.place, 0o755)
            done = subprocess.run(["node", "denied.mjs", path], cwd=self.project.place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  timeout=60, **({"user": "nobody"} if root else {}))
        self.assertEqual(done.stdout.splitlines(), ["permission_denied EACCES 0 0 true", "2 2 true"])

    def test_samples(self):
        names = [path.name for path in (ROOT / "src/clients/node/samples").iterdir()]
        for name in names:
            shutil.copy(ROOT / "src/clients/node/samples" / name, self.project.place)
        self.compile(*names)
        nowhere = {name: "http://127.0.0.1:1" for name in ("META_API", "GOOGLE_ADS_API", "TIKTOK_API")}
        for name in names:
            header = (self.project.place / name).read_text().split("import")[0].replace("\n// ", " ")
            self.assertIn(f"npx tsx {name} ", header)
            done = subprocess.run(["node_modules/.bin/tsx", name, "1", "2026-11-01", "2026-11-02"], cwd=self.project.place, env=os.environ | nowhere,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
            self.assertIn("fetch failed", done.stdout, "it starts as its header says")

    def test_conversions(self):
        self.assertEqual(self.project.run("node", "convert.mjs", "1").strip(), "good")

    def test_credentials(self):
        self.assertEqual(self.project.run("node", "jwe.mjs").strip(), "good")


class Debian(unittest.TestCase):
    """The CMake target client_node, and the Debian package boris-ingestd-client-node."""

    def test_it_ships_what_npm_installs(self):
        need_node(18)
        build = pathlib.Path(INGESTD).resolve().parents[1]
        folder = tempfile.TemporaryDirectory(prefix="ingestd-client-")
        self.addCleanup(folder.cleanup)
        run_npm(build, "cmake", "--build", build, "--target", "client_node")
        run_npm(build, "cpack", "--config", "CPackClientNodeConfig.cmake", "-G", "DEB", "-B", folder.name)
        [deb] = pathlib.Path(folder.name).glob("boris-ingestd-client-node_*_all.deb")
        subprocess.run(["dpkg-deb", "-x", deb, f"{folder.name}/x"], check=True)
        files = {str(path.relative_to(f"{folder.name}/x")) for path in pathlib.Path(folder.name, "x").rglob("*") if path.is_file()}
        [tgz] = [name for name in files if name.endswith(".tgz")]
        self.assertRegex(tgz, r"^usr/share/boris-ingestd/boris-ingestd-client-[0-9.]+\.tgz$")
        self.assertEqual({name for name in files if not name.startswith("usr/share/doc/boris-ingestd-client-node/")}, {tgz})
        job = pathlib.Path(folder.name, "job")
        job.mkdir()
        (job / "package.json").write_text("{}")
        run_npm(job, "npm", "install", "--offline", "--no-audit", "--no-fund", f"{folder.name}/x/{tgz}")
        said = subprocess.run(["node", "-p", "typeof require('boris-ingestd-client').send"], cwd=job, check=True, stdout=subprocess.PIPE, text=True)
        self.assertEqual(said.stdout.strip(), "function")
        self.assertEqual([path.name for path in (job / "node_modules").iterdir() if not path.name.startswith(".")], ["boris-ingestd-client"])


class Rows(TestCase):
    """Credentials that the commands encrypt are read by jose, and those of the package by the commands."""

    @classmethod
    def setUpClass(cls):
        cls.project = Project(cls, HERE)
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
        cls.project = Project(cls, HERE)
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
        lines += [f'{{"kind":"{name}"}}' for name in ("toString", "constructor", "__proto__")]
        for depth in 255, 256, 300, 20000:
            for text in ("", "1", "1x", '{"a":1,"a":2}', '"]"', '"\\x"', "{"):
                deep = "[" * depth + text + "]" * depth
                lines += [encode(good).decode().replace('"amountCents"', f'"metrics":{{"a":{deep}}},"amountCents"'),
                          f'{{"unknown":{deep}}}', f'{{"kind":{deep}}}', deep]
        return lines

    def assert_schema_agrees(self, verdict):
        """The JSON Schema and the validator, which was compared with the daemon."""
        if verdict["reject"] is None:
            self.assertTrue(verdict["bySchema"], "the JSON Schema accepts it")
        elif verdict["bySchema"]:
            self.assertTrue(verdict["beyondSchema"], "the JSON Schema accepts it")

    def test_records_of_the_differential(self):
        """The validator and the schema give the daemon's verdict on each of the unusual records of test_differential."""
        seed = int(os.environ.get("DIFFERENTIAL_SEED", random.randrange(10**6)))
        odd = Odd(random.Random(seed))
        self.db.add_account(objects=[name.replace("'", "''") for name in OBJECTS])
        lines = [odd.record(n) for n in range(5000)]
        replies = self.daemon().send(*lines)
        (self.project.place / "odd").write_text("\n".join(lines) + "\n", errors="surrogatepass")
        judged = [json.loads(text) for text in self.project.run("node", "judge.mjs", "odd").splitlines()]
        self.assertGreater(len(replies.rejects), 100)
        for n, (line, verdict) in enumerate(zip(lines, judged, strict=True), start=1):
            reject = replies.rejects.get(n)
            if reject and reject["code"] in ("unknown_ad_object", "id_conflict"):
                reject = None
            with self.subTest(seed=seed, line=line[:300]):
                self.assertEqual(verdict["reject"], reject and [reject["code"], reject.get("field")])
                self.assert_schema_agrees(verdict)

    def test_replies_match_the_schema(self):
        d = self.daemon()
        self.db.add_account()
        client = d.client()
        client.send({"kind": "hello", "client": "x"}, record(), record(), record(currency="x"), record(externalId="none"), "{")
        replies = []
        client.sock.shutdown(socket.SHUT_WR)
        while (reply := client.reply()) is not None:
            replies.append(reply)
        client.close()
        replies.append({"closing": "shutdown"})
        self.assertEqual(len([reply for reply in replies if "reject" in reply]), 3)
        out = self.project.run("node", "replies.mjs", stdin="".join(json.dumps(reply) + "\n" for reply in replies + [{"ack": -1}, {}]))
        self.assertEqual(json.loads(out), [True] * len(replies) + [False, False])

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
                self.assert_schema_agrees(verdict)


if __name__ == "__main__":
    unittest.main()
