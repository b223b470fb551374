"""config/alerts.yml and config/grafana-dashboard.json: Prometheus' own promtool accepts them, each alert fires when it
should and not before, config/README.md describes each, and every metric in them is one of the daemon's."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest
import urllib.request

from lib.harness import ROOT, TestCase, make_crl, record, tls_settings
from lib.npm import packages
from lib.relay import RELAY, Relay

ALERTS = ROOT / "config/alerts.yml"
DASHBOARD = ROOT / "config/grafana-dashboard.json"
LABELS = 'job="boris-ingestd",instance="i"'

# A daemon that is well, as Prometheus sees it: a sample a minute, twelve hours long. "a+bxn" is a series that grows.
HEALTHY = {
    "up": "1x720", "process_start_time_seconds": "0x720", "process_open_fds": "40x720", "process_max_fds": "1280x720",
    "boris_ingestd_ready": "1x720", "boris_ingestd_draining": "0x720", "boris_ingestd_worker_report_age_seconds": "0x720",
    "boris_ingestd_config_last_reload_successful": "1x720", "boris_ingestd_tls_certificate_expires_seconds": "7776000-60x720",
    "boris_ingestd_tls_client_crl_expires_seconds": "604800-60x720",
    "boris_ingestd_lines_received_total": "0+60000x720", 'boris_ingestd_rejects_total{code="bad_value"}': "0+60x720",
    'boris_ingestd_rejects_total{code="refused_by_database"}': "0x720",
    "boris_ingestd_database_up": "1x720", "boris_ingestd_database_away_seconds": "0x720",
    "boris_ingestd_database_connections_lost_total": "0x720", "boris_ingestd_batch_failures_total": "0x720",
    "boris_ingestd_oldest_line_seconds": "0.1x720", 'boris_ingestd_ack_latency_seconds_bucket{le="0.1"}': "0+59000x720",
    'boris_ingestd_ack_latency_seconds_bucket{le="10"}': "0+60000x720",
    'boris_ingestd_ack_latency_seconds_bucket{le="+Inf"}': "0+60000x720",
    'boris_ingestd_connections_paused{reason="database"}': "0x720", 'boris_ingestd_connections_paused{reason="memory"}': "0x720",
    'boris_ingestd_connections_refused_total{reason="tls"}': "0x720", "boris_ingestd_connections": "8x720",
    "boris_ingestd_connections_limit": "1024x720", "boris_ingestd_spool_bytes": "0x720",
    "boris_ingestd_spool_limit_bytes": "1000x720", "boris_ingestd_spool_failing": "0x720",
    "boris_ingestd_spool_oldest_seconds": "0x720", "boris_ingestd_spool_lost_lines_total": "0x720",
    "boris_ingestd_reject_file_lost_lines_total": "0x720", "boris_ingestd_reject_file_failing": "0x720",
    "boris_ingestd_memory_used_bytes": "10x720", "boris_ingestd_memory_limit_bytes": "100x720",
    "boris_ingestd_cache_objects": "500x720", "boris_ingestd_cache_objects_limit": "1000x720",
    'boris_ingestd_relay_lease{partition="0"}': "1x720", 'boris_ingestd_relay_lag_seconds{partition="0"}': "0x720",
    "boris_ingestd_relay_nats_connected": "1x720", 'boris_ingestd_relay_rewinds_total{partition="0"}': "0x720",
    "boris_ingestd_cache_hits_total": "0+59000x720", "boris_ingestd_cache_misses_total": "0+1000x720",
}

# Each alert: what is otherwise than in HEALTHY, when no alert at all fires yet, and when this one fires, and only this one.
CASES = {
    "Down": ({"up": "1x9 0x20"}, "11m", "12m"),
    "Restarts": ({"process_start_time_seconds": "0x20 1200x3 1500x3 1800x10"}, "28m", "29m"),
    "NotReady": ({"boris_ingestd_ready": "1x9 0x20", "boris_ingestd_database_up": "1x9 0x20"}, "11m", "12m"),
    "StopTakesLong": ({"boris_ingestd_draining": "0x9 1x9", "boris_ingestd_ready": "1x9 0x9"}, "11m", "12m"),
    "WorkerStuck": ({"boris_ingestd_worker_report_age_seconds": "0x9 31+60x9"}, "10m", "11m"),
    "ReloadFailed": ({"boris_ingestd_config_last_reload_successful": "1x9 0x20"}, "14m", "15m"),
    "CertificateExpires": ({"boris_ingestd_tls_certificate_expires_seconds": "1210200-60x60"}, "20m", "21m"),
    "RevocationListExpires": ({"boris_ingestd_tls_client_crl_expires_seconds": "86700-60x60"}, "15m", "16m"),
    "DatabaseAway": ({"boris_ingestd_database_up": "1x9 0x30"}, "14m", "15m"),
    "DatabaseUnsteady": ({"boris_ingestd_database_connections_lost_total": "0+1x40"}, "9m", "20m"),
    "BatchesFail": ({"boris_ingestd_batch_failures_total": "0x9 0+3x40"}, "24m", "30m"),
    "DatabaseSlow": ({'boris_ingestd_connections_paused{reason="database"}': "0x9 4x60"}, "39m", "40m"),
    "SpoolFailing": ({"boris_ingestd_spool_failing": "0x9 1x9", "boris_ingestd_spool_bytes": "1000x20"}, "10m", "11m"),
    "SpoolNearlyFull": ({"boris_ingestd_spool_bytes": "0x9 850x20"}, "14m", "15m"),
    "SpoolFullSoon": ({"boris_ingestd_spool_bytes": "100+8x60"}, "10m", "30m"),
    "SpoolOld": ({"boris_ingestd_spool_oldest_seconds": "0+60x120"}, "65m", "66m"),
    "SpoolLost": ({"boris_ingestd_spool_lost_lines_total": "0x9 3x20"}, "9m", "10m"),
    "RejectsMany": ({'boris_ingestd_rejects_total{code="bad_value"}': "0x9 0+6000x60"}, "18m", "30m"),
    "RefusedByDatabase": ({'boris_ingestd_rejects_total{code="refused_by_database"}': "0x9 2x9"}, "9m", "11m"),
    "RejectFileLosesLines": ({"boris_ingestd_reject_file_lost_lines_total": "0x9 5x9"}, "9m", "11m"),
    "AckLatency": ({'boris_ingestd_ack_latency_seconds_bucket{le="0.1"}': "0+50000x60"}, "10m", "12m"),
    "LinesStuck": ({"boris_ingestd_oldest_line_seconds": "0+60x60"}, "10m", "12m"),
    "ConnectionsPaused": ({'boris_ingestd_connections_paused{reason="memory"}': "0x9 1x60"}, "24m", "25m"),
    "ConnectionsRefused": ({'boris_ingestd_connections_refused_total{reason="tls"}': "0x9 0+1x60"}, "19m", "25m"),
    "ConnectionsNearLimit": ({"boris_ingestd_connections": "8x9 1000x60"}, "19m", "20m"),
    "NothingArrives": ({"boris_ingestd_lines_received_total": "0+100x9 900x720"}, "400m", "440m"),
    "MemoryNearLimit": ({"boris_ingestd_memory_used_bytes": "10x9 95x60"}, "24m", "25m"),
    "DescriptorsNearLimit": ({"process_open_fds": "40x9 1270x60"}, "19m", "20m"),
    "CacheTooSmall": ({"boris_ingestd_cache_objects": "1000x200", "boris_ingestd_cache_misses_total": "0+20000x200"},
                      "110m", "130m"),
    "RelayNoLease": ({'boris_ingestd_relay_lease{partition="0"}': "1x9 0x20"}, "11m", "12m"),
    "RelayDisconnected": ({"boris_ingestd_relay_nats_connected": "1x9 0x20"}, "11m", "12m"),
    "RelayLag": ({'boris_ingestd_relay_lag_seconds{partition="0"}': "0x9 301x20"}, "14m", "15m"),
    "RelayRewound": ({'boris_ingestd_relay_rewinds_total{partition="0"}': "0x9 1x20"}, "9m", "11m"),
}


def promtool(*arguments):
    return subprocess.run([ROOT / "tests/lib/tool.sh", "promtool", *arguments], capture_output=True, text=True, timeout=120)


def with_labels(series):
    name, _, rest = series.partition("{")
    return f"{name}{{{LABELS},{rest}" if rest else f"{name}{{{LABELS}}}"


def firing(alerts):
    return {"expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in alerts]}


def metrics_in(text):
    """The names of the metrics in @text; of a histogram, without the suffixes of its series."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\b(?:boris_ingestd|process)_\w+", text)}


def expressions(value):
    """All PromQL expressions of a dashboard."""
    if isinstance(value, dict):
        return [text for key, part in value.items()
                for text in ([part] if key in ("expr", "definition") else expressions(part))]
    return [text for part in value for text in expressions(part)] if isinstance(value, list) else []


class Files(unittest.TestCase):
    """Tests that need no daemon."""

    @classmethod
    def setUpClass(cls):
        tree = subprocess.run([ROOT / "tests/lib/tool.sh", "tree"], capture_output=True, text=True)
        if tree.returncode:
            raise unittest.SkipTest(f"no tree with promtool could be made: {tree.stderr[-500:]}")
        cls.names = [name.removeprefix("BorisIngestd") for name in re.findall(r"- alert: (\w+)", ALERTS.read_text())]

    def write(self, name, value):
        folder = tempfile.TemporaryDirectory(prefix="ingestd-")
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name, name)
        path.write_text(json.dumps(value))      # which YAML is, too
        return path

    def test_promtool_accepts_the_rules(self):
        done = promtool("check", "rules", "--lint-fatal", str(ALERTS))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_each_alert_fires_in_time_and_alone(self):
        self.assertEqual(sorted(CASES), sorted(self.names), "a case for each alert")
        tests = [{"name": "well", "interval": "1m", "input_series": self.series({}),
                  "promql_expr_test": [firing([]) | {"eval_time": time} for time in ("5m", "3h", "11h")]}]
        for name, (other, quiet, fires) in CASES.items():
            tests.append({"name": name, "interval": "1m", "input_series": self.series(other, int(fires[:-1])),
                          "promql_expr_test": [firing([]) | {"eval_time": quiet},
                                               firing([f"BorisIngestd{name}"]) | {"eval_time": fires}]})
        tests.append({"name": "gone", "interval": "1m", "input_series": [],
                      "promql_expr_test": [firing(["BorisIngestdDown"]) | {"eval_time": "5m"}]})
        path = self.write("test.yml", {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests})
        done = promtool("test", "rules", str(path))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    @staticmethod
    def series(other, minutes=720):
        healthy = {name: values.replace("x720", f"x{minutes}") for name, values in HEALTHY.items()}
        return [{"series": with_labels(name), "values": values} for name, values in (healthy | other).items()]

    def test_each_alert_has_summary_and_action(self):
        for block in re.split(r"(?=- alert: )", ALERTS.read_text())[1:]:
            name = re.match(r"- alert: (\w+)", block)[1]
            for part in (r"severity: (critical|warning|info)\b", r"\n +summary: \S", r"\n +description: >-\n +\S",
                         rf"\n +runbook_url: \S+/config/README\.md#{name.lower()}\n"):
                self.assertRegex(block, part)

    def test_documentation_lists_each_alert(self):
        text = (ROOT / "config/README.md").read_text().split("\n## Alerts\n")[1].split("\n## ")[0]
        self.assertEqual(re.findall(r"^\| <a id=\"\w+\"></a>`BorisIngestd(\w+)` \|", text, re.M), self.names)

    def test_the_dashboard_is_sound(self):
        dashboard = json.loads(DASHBOARD.read_text())
        panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
        self.assertEqual(len({panel["id"] for panel in dashboard["panels"]}), len(dashboard["panels"]))
        for panel in panels:
            self.assertEqual(panel["datasource"], {"type": "prometheus", "uid": "${datasource}"}, panel["title"])
            self.assertTrue(panel["description"] and panel["targets"], panel["title"])
        place = {(x, y) for p in panels for x in range(p["gridPos"]["x"], p["gridPos"]["x"] + p["gridPos"]["w"])
                 for y in range(p["gridPos"]["y"], p["gridPos"]["y"] + p["gridPos"]["h"])}
        self.assertEqual(len(place), sum(p["gridPos"]["w"] * p["gridPos"]["h"] for p in panels), "panels overlap")
        for text in expressions(dashboard):  # no other job's processes, whatever the operator called this one
            for selector in re.findall(r"\{[^}]*\}", text):
                self.assertIn('job=~"$job"', selector, text)
            if not text.startswith("label_values"):
                self.assertEqual(len(re.findall(r"\b(?:boris_ingestd|process)_\w+\{", text)),
                                 len(re.findall(r"\b(?:boris_ingestd|process)_\w+", text)), text)
        self.assertEqual([v["name"] for v in dashboard["templating"]["list"]], ["datasource", "job", "instance"])
        rules = [{"record": f"panel:{n}", "expr": text.replace("$__rate_interval", "5m").replace("$instance", ".*").replace("$job", ".*")}
                 for n, text in enumerate(expressions(dashboard)) if not text.startswith("label_values")]
        self.assertGreater(len(rules), len(panels) - 1)
        done = promtool("check", "rules", str(self.write("panels.yml", {"groups": [{"name": "panels", "rules": rules}]})))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Schema(unittest.TestCase):
    """The dashboard against the types of Grafana's package @grafana/schema."""

    BREAKS = {
        "an unknown member": lambda d: d.update(panel=[]),
        "a number as text": lambda d: d.update(schemaVersion="38"),
        "a cursor that does not exist": lambda d: d.update(graphTooltip=3),
        "a place that is text": lambda d: d["panels"][1]["gridPos"].update(w="12"),
        "a kind of panel that does not exist": lambda d: d["panels"][1].update(type="timeserie"),
        "a panel without a title": lambda d: d["panels"][1].pop("title"),
        "a row with the options of a panel": lambda d: d["panels"][0].update(options={}),
        "a misspelt option": lambda d: Schema.of(d, "timeseries")["options"].update(legnd={}),
        "an option of another panel": lambda d: Schema.of(d, "stat")["options"].update(legend={}),
        "a stacking that does not exist": lambda d: Schema.of(d, "timeseries")["fieldConfig"]["defaults"]["custom"].update(
            stacking={"mode": "stacked"}),
        "a misspelt field": lambda d: Schema.of(d, "timeseries")["fieldConfig"]["defaults"]["custom"].update(fillOpacty=1),
        "a threshold without a colour": lambda d: Schema.of(d, "stat")["fieldConfig"]["defaults"].update(
            thresholds={"mode": "absolute", "steps": [{"value": None}]}),
        "a query without its letter": lambda d: d["panels"][1]["targets"][0].pop("refId"),
        "a number of a variable as text": lambda d: d["templating"]["list"][1].update(refresh="2"),
        "an annotation without a query": lambda d: d["annotations"]["list"][0].pop("expr"),
        "a variable without a name": lambda d: d["templating"]["list"][0].pop("name"),
    }

    @staticmethod
    def of(dashboard, kind):
        return next(panel for panel in dashboard["panels"] if panel["type"] == kind)

    def test_the_dashboard_fits_and_broken_ones_do_not(self):
        source = pathlib.Path(__file__).with_name("dashboard")
        place = packages(source)
        with tempfile.TemporaryDirectory(prefix="check-", dir=place) as folder:
            names = {}
            for n, change in enumerate([lambda d: None, *self.BREAKS.values()]):
                dashboard = json.loads(DASHBOARD.read_text())
                change(dashboard)
                names[f"{n}.ts"] = ["", *self.BREAKS][n]
                pathlib.Path(folder, f"{n}.ts").write_text('import type { OurDashboard } from "./schema";\n'
                                                           f"export const dashboard: OurDashboard = {json.dumps(dashboard, indent=1)};\n")
            pathlib.Path(folder, "schema.ts").write_text((source / "schema.ts").read_text())
            done = subprocess.run([place / "node_modules/.bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "--moduleResolution",
                                   "bundler", "--module", "esnext", "--pretty", "false", *names], cwd=folder, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
        errors = dict(re.findall(r"^(\S+?\.ts)\(\d+,\d+\): (.*)", done.stdout, re.M))
        self.assertNotIn("schema.ts", errors, done.stdout)
        self.assertNotIn("0.ts", errors, done.stdout)
        self.assertEqual([names[name] for name in names if name not in errors and name != "0.ts"], [], "not noticed")


class Names(TestCase):
    def test_rules_use_only_metrics_of_the_daemon(self):
        folder = tempfile.TemporaryDirectory(prefix="ingestd-")
        self.addCleanup(folder.cleanup)
        self.db.add_account()
        tls = tls_settings(folder.name)
        daemon = self.daemon(http__listen="127.0.0.1:0", spool__dir=f"{folder.name}/spool", rejects__file=f"{folder.name}/rejects",
                             listen__tls_client_crl=make_crl(folder.name, tls["listen__tls_cert"], tls["listen__tls_key"]), **tls)
        daemon.send(record())
        with urllib.request.urlopen(f"{daemon.http()}/metrics") as answer:
            told = set(re.findall(r"^# TYPE (\w+) ", answer.read().decode(), re.M))
        if os.access(RELAY, os.X_OK):
            relay = Relay(self.db, None, daemon, relay__servers="nats://127.0.0.1:1", relay__partitions="0")
            self.addCleanup(relay.close)
            with urllib.request.urlopen(f"{relay.http()}/metrics") as answer:
                told |= set(re.findall(r"^# TYPE (\w+) ", answer.read().decode(), re.M))
        else:
            told |= {name for name in metrics_in(ALERTS.read_text() + DASHBOARD.read_text()) if "_relay_" in name}
        wanted = metrics_in(ALERTS.read_text()) | metrics_in("\n".join(expressions(json.loads(DASHBOARD.read_text()))))
        self.assertGreater(len(wanted), 30)
        self.assertEqual(wanted - told, set())


if __name__ == "__main__":
    unittest.main()
