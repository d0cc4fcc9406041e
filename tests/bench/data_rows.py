#!/usr/bin/env python3
"""Rows for tools/bench data: consecutive pieces of Python source, each cut into prompt and completion.

    tests/bench/data_rows.py OUT.jsonl --rows N FOLDER...

Real text, in the order of the files' names. A piece has from 100 to 4,000 characters, drawn by a fixed seed from a log-normal
distribution (median 800), as texts of people are spread; it ends with a line. What source repeats (licences, generated code) is
repeated here, too.
"""

import argparse
import json
import pathlib
import random
import sys


def sources(folders):
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            try:
                yield path.read_text(encoding="utf-8")
            except (UnicodeDecodeError, OSError):
                continue


def pieces(text, draw):
    lines, size, most = [], 0, draw()
    for line in text.splitlines(keepends=True):
        lines.append(line)
        size += len(line)
        if size >= most:
            yield lines
            lines, size, most = [], 0, draw()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("folders", type=pathlib.Path, nargs="+")
    arguments = parser.parse_args()
    chance = random.Random(1)

    def draw():
        return min(4000, max(100, int(chance.lognormvariate(6.68, 0.8))))

    count, total = 0, 0
    with arguments.out.open("w", encoding="utf-8") as out:
        for text in sources(arguments.folders):
            for lines in pieces(text, draw):
                half = max(1, len(lines) * 6 // 10)
                row = {"prompt": "".join(lines[:half]), "completion": "".join(lines[half:])}
                if not row["completion"].strip():
                    continue
                line = json.dumps(row, ensure_ascii=False) + "\n"
                out.write(line)
                count, total = count + 1, total + len(line.encode())
                if count == arguments.rows:
                    print(json.dumps({"rows": count, "bytes": total}))
                    return
    sys.exit(f"error: the folders have {count} pieces only, {arguments.rows} were asked for; name more folders")


if __name__ == "__main__":
    main()
