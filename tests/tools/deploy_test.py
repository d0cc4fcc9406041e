#!/usr/bin/env python3
"""Every metric that the dashboard, the alerts and deploy/README.md name is one that the code exports."""

import json
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = [ROOT / "coordinator/metrics/metrics.cc", ROOT / "worker/agent/metrics.cc"]
METRIC = re.compile(r"\battune_[a-z0-9_]+")
HISTOGRAM_PARTS = ("_bucket", "_sum", "_count")


def exported():
    return {name for path in SOURCES for name in re.findall(r'"(attune_[a-z0-9_]+)"', path.read_text())}


def unknown(text):
    def base(name):
        for part in HISTOGRAM_PARTS:
            if name.endswith(part):
                return name[:-len(part)]
        return name
    known = exported()
    return {name for name in METRIC.findall(text) if name not in known and base(name) not in known}


class DeployTest(unittest.TestCase):
    def test_sources_are_read(self):
        self.assertIn("attune_jobs", exported())
        self.assertEqual(unknown("attune_nonsense + attune_jobs"), {"attune_nonsense"})

    def test_dashboard(self):
        dashboard = json.loads((ROOT / "deploy/grafana/attune.json").read_text())
        panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
        self.assertEqual(len({panel["id"] for panel in dashboard["panels"]}), len(dashboard["panels"]))
        for panel in panels:
            self.assertTrue(panel["targets"], panel["title"])
            for target in panel["targets"]:
                self.assertEqual(unknown(target["expr"]), set(), panel["title"])

    def test_alerts_and_table(self):
        self.assertEqual(unknown((ROOT / "deploy/prometheus/attune.rules.yml").read_text()), set())
        table = (ROOT / "deploy/README.md").read_text().replace("attune_worker_host_*", "")
        self.assertEqual(unknown(table), set())
        for name in exported() - {"attune_build_info"}:
            shown = name in table or name.startswith("attune_worker_")
            self.assertTrue(shown, f"{name} is not in the table of deploy/README.md")


if __name__ == "__main__":
    unittest.main()
