"""What the parts of tools/bench share."""

import datetime
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DEPS = pathlib.Path(os.environ.get("ATTUNE_DEPS_DIR", ROOT / ".deps"))
WORK = ROOT / "build" / "bench"
GGUF = DEPS / "models" / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
PAGE = ROOT / "docs" / "benchmarks.md"


def fail(what, fix=""):
    sys.exit(f"error: {what}" + (f"\nfix:   {fix}" if fix else ""))


def step(text):
    print(f"==> {text}", flush=True)


def busy_share(seconds=2.0):
    """Share of all cores that was busy over the next seconds."""

    def ticks():
        values = [int(word) for word in open("/proc/stat").readline().split()[1:9]]
        return sum(values), values[3] + values[4]

    total, idle = ticks()
    time.sleep(seconds)
    total_after, idle_after = ticks()
    return 1 - (idle_after - idle) / max(1, total_after - total)


class Cluster:
    """Attune on this machine: a coordinator and workers of one slot."""

    def __init__(self, workers):
        self.home = WORK / "home"
        shutil.rmtree(self.home, ignore_errors=True)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("ATTUNE_")}
        self.environment.update(ATTUNE_HOME=str(self.home), ATTUNE_CONFIG=str(self.home / "none.yaml"))
        self.run("up", "--workers", workers, "--device", "cpu", "--port", "0", "--metrics-port", "0")

    def command(self, *arguments):
        return [str(ROOT / "build" / "bin" / "attune"), *map(str, arguments)]

    def run(self, *arguments):
        done = subprocess.run(self.command(*arguments), env=self.environment, text=True, capture_output=True)
        if done.returncode != 0:
            fail(f"attune {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def down(self):
        subprocess.run(self.command("down"), env=self.environment, capture_output=True)


def table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|"] + lines[1:])


def machine():
    model = re.search(r"^model name\s*: (.*)$", open("/proc/cpuinfo").read(), re.M)
    memory = int(re.search(r"MemTotal:\s+(\d+)", open("/proc/meminfo").read()).group(1)) / 1024 / 1024
    return f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB"


def code():
    found = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], text=True, capture_output=True)
    return found.stdout.strip()


def write_block(part, what, tables):
    """Puts tables into docs/benchmarks.md, in the place of this part."""
    begin, end = f"<!-- tools/bench {part} --write: begin -->", f"<!-- tools/bench {part} --write: end -->"
    page = PAGE.read_text()
    if begin not in page or end not in page:
        fail(f"{PAGE} has no place for the tables", f"put '{begin}' and '{end}' into it, each on its own line")
    head = f"{datetime.date.today():%d %B %Y}, {machine()}, Attune {code()}, {what}."
    PAGE.write_text(page[:page.index(begin)] + "\n\n".join([begin, head, *tables, end])
                    + page[page.index(end) + len(end):])
    step(f"written to {PAGE.relative_to(ROOT)}")
