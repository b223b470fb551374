"""The sample sync jobs (src/clients/node/samples) read made-up responses of the platforms' shapes from a server, while the daemon is
killed and started again: nothing is lost, nothing is stored twice."""

import json
import os
import re
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

    def reply(self, body, status=200):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def page(self, number, rows):
        type(self).paging(number)
        return [rows(n) for n in range(number * PAGE, (number + 1) * PAGE)]

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if "tiktok" in url.path:
            self.reply(self.tiktok(url.path, query))
        elif self.headers["Authorization"] != "Bearer meta-token":
            self.reply({"error": {"message": "Invalid OAuth access token", "type": "OAuthException", "code": 190, "fbtrace_id": "A"}}, 400)
        else:
            self.reply(self.meta(url.path, query))

    def meta(self, path, query):
        cursors = {"before": "QVFIUb", "after": "QVFIUa"}
        if path.endswith("/ads"):
            def node(id, name):
                return {"id": id, "name": name, "effective_status": "ACTIVE"}

            shown = json.loads(query.get("effective_status", '["ACTIVE", "CAMPAIGN_PAUSED"]'))
            ads = [{"id": f"m{n}", "name": f"Ad {n}", "effective_status": "CAMPAIGN_PAUSED" if n % 10 else "ARCHIVED",
                    "adset": node(f"ms{n // 10}", "Set"), "campaign": node("mc", "Campaign")} for n in range(ADS)]
            return {"data": [ad for ad in ads if ad["effective_status"] in shown], "paging": {"cursors": cursors}}
        if not path.endswith("/insights"):
            return {"name": "Shop", "currency": "USD", "timezone_name": "America/Los_Angeles", "id": "act_1"}
        number = int(query.get("after", 0))
        # actions are left out where there were none
        data = self.page(number, lambda n: {
            "ad_id": f"m{n // DAYS}", "spend": f"{n // 100}.{n % 100:02}", "impressions": str(n), "clicks": "1",
            **({"actions": [{"action_type": "link_click", "value": str(n % 7)}]} if n % 7 else {}),
            "date_start": day_of(n), "date_stop": day_of(n)})
        rest = urllib.parse.urlencode(query | {"access_token": "meta-token", "limit": 25, "after": number + 1})
        more = {"next": f"http://{self.headers['Host']}{path}?{rest}"} if (number + 1) * PAGE < ROWS else {}
        return {"data": data, "paging": {"cursors": cursors} | more}

    def tiktok(self, path, query):
        if self.headers["Access-Token"] != "tiktok-token":
            return {"code": 40105, "message": "Access token is incorrect or has been revoked.", "request_id": "2026", "data": {}}

        def reply(items, **more):
            return {"code": 0, "message": "OK", "request_id": "2026", "data": {"list": items} | more}

        if "advertiser" in path:
            return reply([{"advertiser_id": "7", "name": "TT", "currency": "JPY", "timezone": "Etc/GMT+8", "display_timezone": "America/Los_Angeles",
                           "status": "STATUS_ENABLE", "country": "US", "create_time": 1630335591, "balance": 10}])
        number = int(query["page"]) - 1
        if "/ad/get" in path:
            ads = [{"advertiser_id": "7", "ad_id": f"t{n}", "ad_name": f"Ad {n}", "adgroup_id": "tg", "adgroup_name": "Group", "campaign_id": "tc",
                    "campaign_name": "Campaign", "operation_status": "ENABLE" if n % 2 else "DISABLE", "secondary_status": "AD_STATUS_CAMPAIGN_DISABLE",
                    "create_time": "2026-09-01 08:04:06", "modify_time": "2026-09-02 17:50:11"} for n in range(ADS)]
            return reply(ads, page_info={"page": 1, "page_size": 1000, "total_number": ADS, "total_page": 1})
        data = self.page(number, lambda n: {
            "metrics": {"spend": str(n), "impressions": str(n), "clicks": "1", "conversion": "0"},
            "dimensions": {"ad_id": f"t{n // DAYS}", "stat_time_day": f"{day_of(n)} 00:00:00"}})
        return reply(data, page_info={"page": number + 1, "page_size": PAGE, "total_number": ROWS, "total_page": ROWS // PAGE})

    def do_POST(self):
        """googleAds:search. A row has the resources' names, whether they were selected or not; 64-bit integers are text."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        query = asked["query"]
        if (self.headers["Authorization"], self.headers["developer-token"]) != ("Bearer google-token", "google-developer"):
            self.reply({"error": {"code": 401, "message": "Request is missing required authentication credential.", "status": "UNAUTHENTICATED"}}, 401)
            return

        def resource(kind, key, **more):
            return {"resourceName": f"customers/123/{kind}/{key}"} | more

        def answer(results, **more):
            fields = re.search("SELECT (.*) FROM", query)[1].replace(" ", "")
            self.reply({"results": results, "fieldMask": re.sub("_([a-z])", lambda c: c[1].upper(), fields), "queryResourceConsumption": "304"} | more)

        if query.endswith("FROM customer"):
            answer([{"customer": {"resourceName": "customers/123", "descriptiveName": "G", "currencyCode": "EUR", "timeZone": "Europe/Prague"}}])
        elif "metrics." not in query:
            answer([{"campaign": resource("campaigns", "gc", status="ENABLED", name="Campaign", id="gc"),
                     "adGroup": resource("adGroups", "gg", status="PAUSED", id="gg", name="Group"),
                     "adGroupAd": resource("adGroupAds", f"gg~g{n}", status="ENABLED", ad=resource("ads", f"g{n}", id=f"g{n}"))} for n in range(ADS)])
        else:
            number = int(asked.get("pageToken", 0))
            results = self.page(number, lambda n: {
                "metrics": {"clicks": "1", "conversions": n / 4, "costMicros": str(n * 10_000), "impressions": str(n)},
                "adGroupAd": resource("adGroupAds", f"gg~g{n // DAYS}", ad=resource("ads", f"g{n // DAYS}", id=f"g{n // DAYS}")),
                "segments": {"date": day_of(n)}})
            answer(results, **({"nextPageToken": str(number + 1)} if (number + 1) * PAGE < ROWS else {}))


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
        tokens = {"META_TOKEN": "meta-token", "GOOGLE_ADS_TOKEN": "google-token", "GOOGLE_ADS_DEVELOPER_TOKEN": "google-developer", "TIKTOK_TOKEN": "tiktok-token"}
        env = dict(os.environ, **tokens, META_API=f"{url}/meta", GOOGLE_ADS_API=f"{url}/google", TIKTOK_API=f"{url}/tiktok",
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
        # eight hours behind UTC also in summer, unlike Los Angeles
        self.assertEqual(self.db.value("SELECT min(period_start) AT TIME ZONE 'UTC' FROM spending WHERE currency = 'JPY'"), "2026-10-01 08:00:00")
        self.assertEqual(self.db.value("SELECT count(*) FROM ad_objects WHERE status = 'ARCHIVED'"), str(ADS // 10))
        # fractions of conversions stay in metrics
        self.assertEqual(self.db.value("SELECT count(conversions), count(DISTINCT metrics->'conversions') FROM spending WHERE currency = 'EUR'"),
                         f"{ROWS // 4}|{ROWS}")


if __name__ == "__main__":
    unittest.main()
