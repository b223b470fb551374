"""The sample sync jobs (src/clients/node/samples) read made-up responses of the platforms' shapes from a server, while the daemon is
killed and started again: nothing is lost, nothing is stored twice."""

import json
import os
import shutil
import subprocess
import threading
import unittest
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lib.consumer import Project
from lib.harness import ROOT, TestCase

SAMPLES = ROOT / "src/clients/node/samples"
ADS, DAYS, PAGE = 200, 30, 500
ROWS = ADS * DAYS


def day_of(n):
    return f"2026-10-{n % DAYS + 1:02}"


class Platforms(BaseHTTPRequestHandler):
    """All three APIs. `paging` is called with the number of each page of spending."""

    paging = staticmethod(lambda page: None)

    def log_message(self, *args):
        pass

    def reply(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def page(self, number, rows):
        type(self).paging(number)
        return [rows(n) for n in range(number * PAGE, (number + 1) * PAGE)]

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        self.reply(self.tiktok(url.path, query) if "tiktok" in url.path else self.meta(url.path, query))

    def meta(self, path, query):
        if path.endswith("/ads"):
            def node(id, name):
                return {"id": id, "name": name, "effective_status": "ACTIVE"}

            return {"data": [node(f"m{n}", f"Ad {n}") | {"adset": node(f"ms{n // 10}", "Set"), "campaign": node("mc", "Campaign"),
                                                         "effective_status": "CAMPAIGN_PAUSED"} for n in range(ADS)]}
        if not path.endswith("/insights"):
            return {"name": "Shop", "currency": "USD", "timezone_name": "America/Los_Angeles", "id": "act_1"}
        number = int(query.get("after", 0))
        data = self.page(number, lambda n: {
            "ad_id": f"m{n // DAYS}", "date_start": day_of(n), "date_stop": day_of(n), "spend": f"{n // 100}.{n % 100:02}",
            "impressions": str(n), "clicks": "1", "actions": [{"action_type": "link_click", "value": str(n % 7)}]})
        more = {"next": f"http://{self.headers['Host']}{path}?after={number + 1}"} if (number + 1) * PAGE < ROWS else {}
        return {"data": data, "paging": {"cursors": {"before": "b", "after": "a"}} | more}

    def tiktok(self, path, query):
        def reply(items, **more):
            return {"code": 0, "message": "OK", "request_id": "2026", "data": {"list": items} | more}

        if "advertiser" in path:
            return reply([{"advertiser_id": "7", "name": "TT", "currency": "JPY", "timezone": "Asia/Tokyo"}])
        number = int(query["page"]) - 1
        if "/ad/get" in path:
            return reply([{"ad_id": f"t{n}", "ad_name": f"Ad {n}", "adgroup_id": "tg", "adgroup_name": "Group", "campaign_id": "tc",
                           "campaign_name": "Campaign", "operation_status": "ENABLE" if n % 2 else "DISABLE"} for n in range(ADS)])
        data = self.page(number, lambda n: {
            "dimensions": {"ad_id": f"t{n // DAYS}", "stat_time_day": f"{day_of(n)} 00:00:00"},
            "metrics": {"spend": str(n), "impressions": str(n), "clicks": "1", "conversion": "0"}})
        return reply(data, page_info={"page": number + 1, "page_size": PAGE, "total_number": ROWS, "total_page": ROWS // PAGE})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        query = asked["query"]
        if query.endswith("FROM customer"):
            self.reply({"results": [{"customer": {"descriptiveName": "G", "currencyCode": "EUR", "timeZone": "Europe/Prague"}}]})
        elif "metrics." not in query:
            self.reply({"results": [{"campaign": {"id": "gc", "name": "Campaign", "status": "ENABLED"},
                                     "adGroup": {"id": "gg", "name": "Group", "status": "PAUSED"},
                                     "adGroupAd": {"ad": {"id": f"g{n}"}, "status": "ENABLED"}} for n in range(ADS)]})
        else:
            number = int(asked.get("pageToken", 0))
            results = self.page(number, lambda n: {
                "adGroupAd": {"ad": {"id": f"g{n // DAYS}"}}, "segments": {"date": day_of(n)},
                "metrics": {"costMicros": str(n * 10_000), "impressions": str(n), "clicks": "1", "conversions": n / 4}})
            more = {"nextPageToken": str(number + 1)} if (number + 1) * PAGE < ROWS else {}
            self.reply({"results": results} | more)


class SyncJobs(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Project(cls, ROOT / "tests/integration/client_package")
        for sample in SAMPLES.iterdir():
            shutil.copy(sample, cls.project.place)
        cls.project.bin("esbuild", "meta.ts", "google-ads.ts", "tiktok.ts", "--format=esm", "--out-extension:.js=.mjs", "--outdir=.")
        super().setUpClass()

    def serve(self, paging):
        handler = type("Handler", (Platforms,), {"paging": staticmethod(paging)})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"

    def job(self, name, account, platform, url, daemon):
        env = dict(os.environ, META_API=f"{url}/meta", GOOGLE_ADS_API=f"{url}/google", TIKTOK_API=f"{url}/tiktok",
                   CONNECTION_ID=self.db.create_connection(platform), BORIS_INGESTD_URL=f"boris+unix://{daemon.socket}")
        process = subprocess.Popen(["node", f"{name}.mjs", account, "2026-10-01", "2026-10-30"], cwd=self.project.place, env=env,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        return process

    def finish(self, job):
        said = job.communicate(timeout=120)[0]
        self.assertEqual(job.returncode, 0, said)
        return json.loads(said.strip().splitlines()[-1])

    def test_kills_in_between(self):
        d = self.daemon(batch__rows=300)
        lock, seen, kills = threading.Lock(), set(), []

        def paging(page):
            """Kills the daemon before the third page that any job reads, and every third after it."""
            with lock:
                seen.add(len(seen))
                if len(seen) % 6 == 3:
                    kills.append(page)
                    d.kill()
                    d.start()

        url = self.serve(paging)
        jobs = [self.job("meta", "act_1", "META", url, d), self.job("google-ads", "123", "GOOGLE_ADS", url, d),
                self.job("tiktok", "7", "TIKTOK", url, d)]
        summaries = [self.finish(job) for job in jobs]
        self.assertGreaterEqual(len(kills), 4)
        self.assertGreater(max(summary["connections"] for summary in summaries), 1)
        objects = {"META": 1 + ADS // 10 + ADS, "GOOGLE_ADS": 2 + ADS, "TIKTOK": 2 + ADS}
        for summary, (platform, count) in zip(summaries, objects.items(), strict=True):
            self.assertEqual((summary["records"], summary["rejected"], summary["stored"] + summary["duplicate"]),
                             (1 + count + ROWS, 0, 1 + count + ROWS))
            [row] = self.db.query(f"""
                SELECT count(*), count(DISTINCT (s.ad_object_id, period_start)) AS periods, sum(amount_cents) AS amount, sum(impressions) AS impressions,
                       count(DISTINCT collected_at) AS moments, count(DISTINCT s.ad_object_id) AS ads,
                       (SELECT count(*) FROM ad_objects WHERE ad_account_id = min(a.id::text)::uuid) AS objects
                FROM spending s JOIN ad_objects o ON o.id = s.ad_object_id JOIN ad_accounts a ON a.id = o.ad_account_id
                JOIN platform_connections c ON c.id = a.platform_connection_id WHERE c.platform = '{platform}'""")
            total = sum(range(ROWS))
            self.assertEqual({key: int(value) for key, value in row.items()},
                             {"count": ROWS, "periods": ROWS, "amount": total, "impressions": total, "moments": 1, "ads": ADS, "objects": count})
        self.assertEqual(self.db.value("SELECT count(DISTINCT period_start) FROM spending WHERE currency = 'JPY'"), str(DAYS))
        self.assertEqual(self.db.value("SELECT min(period_start) AT TIME ZONE 'Asia/Tokyo' FROM spending WHERE currency = 'JPY'"), "2026-10-01 00:00:00")


if __name__ == "__main__":
    unittest.main()
