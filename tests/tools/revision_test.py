#!/usr/bin/env python3
"""cmake/Revision.cmake on a small repository: it follows commits and changes, and leaves a file that is right alone."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "cmake/Revision.cmake"


class RevisionTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.source = pathlib.Path(scratch.name) / "source"
        self.source.mkdir()
        self.output = pathlib.Path(scratch.name) / "revision.cc"

    def git(self, *arguments):
        subprocess.run(["git", "-c", "user.name=test", "-c", "user.email=test@example.org", *arguments],
                       cwd=self.source, check=True, capture_output=True)

    def commit(self, text):
        (self.source / "file").write_text(text)
        self.git("add", "file")
        self.git("commit", "-m", text)

    def revision(self):
        environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(self.source.parent)}
        subprocess.run(["cmake", f"-DSOURCE={self.source}", f"-DOUTPUT={self.output}", "-P", SCRIPT],
                       check=True, env=environment)
        return re.search(r'kGitRevision\[\] = "(.*)"', self.output.read_text())[1]

    def test_follows_commits_and_changes(self):
        self.git("init")
        self.commit("one")
        first = self.revision()
        self.assertRegex(first, "^[0-9a-f]{7,}$")
        self.commit("two")
        second = self.revision()
        self.assertNotEqual(second, first)
        (self.source / "file").write_text("three")
        self.assertEqual(self.revision(), second + "-dirty")

    def test_does_not_touch_what_is_right(self):
        self.git("init")
        self.commit("one")
        self.revision()
        os.utime(self.output, (1, 1))
        self.revision()
        self.assertEqual(self.output.stat().st_mtime, 1)

    def test_is_empty_outside_of_git(self):
        self.assertEqual(self.revision(), "")


if __name__ == "__main__":
    unittest.main()
