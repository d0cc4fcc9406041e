#!/usr/bin/env python3
"""The files and the options of tools/ that the documentation names are there."""

import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/*.md"), *ROOT.glob("tests/**/*.md")])
# Not the generated folders; a page may stand in a folder that its paths are relative to.
FILE = re.compile(r"(?<![\w./-])((?:cmake|common|configs|coordinator|deploy|docs|proto|tests|tools|worker)/[\w./-]*\w)")
TOOL = re.compile(r"(tools/(?:bench|build|demo|demo-data|format|setup|test))((?: +--[\w-]+(?:,? ?))*)")


def named_files(text):
    return set(FILE.findall(text))


class DocsTest(unittest.TestCase):
    def test_files(self):
        self.assertEqual(named_files("see `docs/absent.md` and x/docs/y"), {"docs/absent.md"})
        for page in PAGES:
            for name in named_files(page.read_text()):
                self.assertTrue((ROOT / name).exists(), f"{page.relative_to(ROOT)} names {name}")

    def test_options_of_tools(self):
        seen = 0
        for page in PAGES:
            for tool, options in TOOL.findall(page.read_text()):
                text = subprocess.run([ROOT / tool, "--help"], text=True, capture_output=True, check=True).stdout
                for option in re.findall(r"--[\w-]+", options):
                    self.assertIn(option, text, f"{page.relative_to(ROOT)}: {tool} {option}")
                    seen += 1
        self.assertGreater(seen, 3)


if __name__ == "__main__":
    unittest.main()
