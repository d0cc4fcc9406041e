#!/usr/bin/env python3
"""tools/demo-data on a small library: what is taken, what is dropped, and that the order is fixed."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "tools/demo-data"

GOOD = '''
class Box:
    @staticmethod
    async def weigh(box, scale=1.0):
        """Return the weight of the box.

        The scale converts the unit.
        """

        total = 0.0
        for item in box.items:
            total += item.weight * scale
        return total
'''

DROPPED = '''
def empty(argument_one, argument_two, argument_three):
    """Nothing but this docstring is in this function."""

def undocumented(argument_one, argument_two, argument_three):
    return argument_one + argument_two + argument_three

def short(argument_one, argument_two, argument_three):
    """Too short."""
    return argument_one + argument_two + argument_three

def same_line(argument): "A docstring that shares its line with code."; return argument + argument + argument

def tiny():
    """The function below this docstring is tiny."""
    return 1
'''


def run(library, out):
    return subprocess.run([sys.executable, SCRIPT, out, "--library", library], capture_output=True, text=True)


class DemoDataTest(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        self.library = pathlib.Path(self.scratch.name) / "library"
        self.library.mkdir()
        self.out = pathlib.Path(self.scratch.name) / "out.jsonl"

    def rows(self):
        result = run(self.library, self.out)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [json.loads(line) for line in self.out.read_text().splitlines()]

    def test_takes_documented_functions_without_their_docstring(self):
        (self.library / "box.py").write_text(GOOD)
        rows = self.rows()
        self.assertEqual(len(rows), 1)
        user, assistant = rows[0]["messages"]
        self.assertEqual((user["role"], assistant["role"]), ("user", "assistant"))
        self.assertEqual(assistant["content"], "Return the weight of the box.\n\nThe scale converts the unit.")
        self.assertEqual(user["content"].split("\n\n", 1)[1],
                         "@staticmethod\nasync def weigh(box, scale=1.0):\n    total = 0.0\n"
                         "    for item in box.items:\n        total += item.weight * scale\n    return total")

    def test_drops_empty_duplicate_and_unreadable(self):
        (self.library / "a.py").write_text(GOOD)
        (self.library / "b.py").write_text(GOOD)
        (self.library / "dropped.py").write_text(DROPPED)
        (self.library / "broken.py").write_text("def (:\n")
        (self.library / "latin.py").write_bytes(b"# \xff\n")
        (self.library / "test").mkdir()
        (self.library / "test" / "c.py").write_text(GOOD.replace("weigh", "other").replace("weight of", "mass of"))
        self.assertEqual(len(self.rows()), 1)

    def test_gives_the_same_file_twice(self):
        for name in ("b", "a", "c"):
            (self.library / f"{name}.py").write_text(GOOD.replace("weigh(", f"{name}(").replace("weight of", name))
        first = self.rows()
        self.assertEqual(len(first), 3)
        self.assertIn("def a(", first[0]["messages"][0]["content"])
        self.assertEqual(first, self.rows())

    def test_says_when_there_is_nothing(self):
        result = run(self.library, self.out)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("no documented function", result.stderr)
        self.assertFalse(self.out.exists())
        self.assertIn("not a folder", run(self.library / "missing", self.out).stderr)


if __name__ == "__main__":
    unittest.main()
