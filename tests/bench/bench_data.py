"""tools/bench data: from files of rows to packed sequences, alone or against Hugging Face datasets, tokenizers and trl.

The rows are pieces of Python source (data_rows.py), as prompt and completion, for SmolLM2's tokenizer and sequences of 512.
Ours: `attune dataset import` (checks, ids, exact duplicates, split, checksummed shards) and `attune job submit --dry-run` (a
trainer starts, tokenizes and plans), on a cluster of one worker. The peer: peer_data.py, 2 processes, nothing cached.

  seconds   of the commands as a user waits for them; the peer's stages without the start of Python
  peak      the largest sum of the proportional memory (PSS) of all processes, ours with both daemons, looked at 10 times a second
  fill      tokens of the packed sequences by their room

A second table is of near-duplicates alone: an import that removes them against datatrove's MinHash (peer_minhash.py) over the same
rows. Ours also does all that an import does.
"""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sysconfig
import threading
import time

from bench_common import DEPS, GGUF, ROOT, WORK, Cluster, fail, machine, step, table, write_block

SEQUENCE = 512


def processes():
    """pid -> (parent, program)"""
    found = {}
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            parent = int(folder.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1])
            found[int(folder.name)] = (parent, os.readlink(folder / "exe"))
        except (OSError, IndexError, ValueError):
            continue
    return found


def proportional_memory(pid):
    try:
        for line in open(f"/proc/{pid}/smaps_rollup"):
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class Peak:
    """The largest sum of the memory of the processes that belong; use as a context."""

    def __init__(self, belongs):
        self.belongs, self.bytes = belongs, 0
        self.done, self.thread = threading.Event(), threading.Thread(target=self.watch)

    def watch(self):
        while not self.done.wait(0.1):
            all_of_them = processes()
            self.bytes = max(self.bytes, sum(proportional_memory(pid) for pid in all_of_them
                                             if self.belongs(pid, all_of_them)))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def is_ours(pid, all_of_them):
    return all_of_them[pid][1].startswith(str(ROOT / "build" / "bin"))


def children_of(root):
    def belongs(pid, all_of_them):
        while pid in all_of_them and pid != root:
            pid = all_of_them[pid][0]
        return pid == root

    return belongs


def timed(call):
    began = time.time()
    result = call()
    return time.time() - began, result


def prepare_with_attune(data):
    cluster = Cluster(1)
    spec = WORK / "data.yaml"
    spec.write_text(json.dumps({
        "name": "bench-data", "base": "smollm2", "dataset": "rows", "method": "lora",
        "train": {"sequence_length": SEQUENCE, "threads": os.cpu_count()}}))
    try:
        cluster.run("model", "import", "smollm2", GGUF)
        with Peak(is_ours) as peak:
            imported, _ = timed(lambda: cluster.run("dataset", "import", "rows", data, "--validation", "0"))
            planned, plan = timed(lambda: cluster.run("job", "submit", spec, "--dry-run", "-o", "json"))
        plan = json.loads(plan)
    finally:
        cluster.down()
    return {"import": imported, "tokenize": planned, "total": imported + planned, "peak": peak.bytes, "fill": plan["fill"],
            "rows": plan["examples"], "tokens": plan["tokens"]}


def result_of(peer):
    """The JSON object that a peer prints last, once it has ended."""
    output, errors = peer.communicate()
    lines = [line for line in output.splitlines() if line.startswith('{"seconds"')]
    if peer.returncode != 0 or not lines:
        fail(f"the peer failed:\n{errors[-2000:]}")
    return json.loads(lines[-1])


def prepare_with_peer(data):
    python = DEPS / "reference" / "bin" / "python"
    folder = WORK / "smollm2-hf"
    if not (folder / "tokenizer.json").exists():
        made = "import sys; from transformers import AutoTokenizer; " \
               "AutoTokenizer.from_pretrained(sys.argv[1], gguf_file=sys.argv[2]).save_pretrained(sys.argv[3])"
        subprocess.run([python, "-c", made, GGUF.parent, GGUF.name, folder], check=True, capture_output=True)
    caches = WORK / "peer-caches"
    shutil.rmtree(caches, ignore_errors=True)
    environment = dict(os.environ, HF_HOME=str(caches), CUDA_VISIBLE_DEVICES="")
    peer = subprocess.Popen([python, ROOT / "tests" / "bench" / "peer_data.py", "--hf", folder, "--data", data,
                             "--sequence-length", str(SEQUENCE)],
                            env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    with Peak(children_of(peer.pid)) as peak:
        result = result_of(peer)
    seconds = result["seconds"]
    imported, tokenized = seconds["load"] + seconds["dedupe"], seconds["tokenize"] + seconds["pack"]
    return {"import": imported, "tokenize": tokenized, "total": imported + tokenized, "peak": peak.bytes,
            "fill": result["fill"], "rows": result["rows"], "tokens": result["tokens"]}


def median_of(runs):
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def result_table(size, ours, peer):
    rows = [("by", "import", "tokenize and pack", "together", "MB/s", "rows/s", "peak", "filled", "rows", "tokens")]
    for who, run in (("attune", ours), ("datasets, trl", peer)):
        if run:
            rows.append((who, f"{run['import']:.1f} s", f"{run['tokenize']:.1f} s", f"{run['total']:.1f} s",
                         f"{size / run['total'] / 1e6:.1f}", f"{run['rows'] / run['total']:.0f}",
                         f"{run['peak'] / 1e9:.2f} GB", f"{100 * run['fill']:.2f}%", f"{run['rows']:.0f}",
                         f"{run['tokens'] / 1e6:.2f}M"))
    if peer:
        rows.append(("ratio", *(f"{ours[key] / peer[key]:.3f}" for key in ("import", "tokenize", "total")),
                     f"{peer['total'] / ours['total']:.2f}", f"{peer['total'] / ours['total']:.2f}",
                     f"{ours['peak'] / peer['peak']:.2f}", "", "", ""))
    return table(rows)


def remove_near_duplicates(data):
    cluster = Cluster(1)
    spec = WORK / "curated.yaml"
    spec.write_text(json.dumps({"curation": {"near_duplicates": {"action": "remove"}}}))
    try:
        with Peak(is_ours) as peak:
            seconds, _ = timed(lambda: cluster.run("dataset", "import", "rows", data, "--spec", spec, "--validation", "0"))
        version = json.loads(cluster.run("dataset", "show", "rows", "-o", "json"))
    finally:
        cluster.down()
    return {"total": seconds, "peak": peak.bytes, "rows": sum(map(int, version["examples"].values()))}


def remove_with_peer(data):
    peer = subprocess.Popen([DEPS / "bench" / "bin" / "python", ROOT / "tests" / "bench" / "peer_minhash.py", "--data", data,
                             "--work", WORK / "peer-minhash"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with Peak(children_of(peer.pid)) as peak:
        result = result_of(peer)
    return {"total": sum(result["seconds"].values()), "peak": peak.bytes, "rows": result["kept"]}


def duplicates_table(size, ours, peer):
    rows = [("near-duplicates by", "seconds", "MB/s", "peak", "rows kept")]
    for who, run in (("attune, the whole import", ours), ("datatrove", peer)):
        if run:
            rows.append((who, f"{run['total']:.1f} s", f"{size / run['total'] / 1e6:.1f}", f"{run['peak'] / 1e9:.2f} GB",
                         f"{run['rows']:.0f}"))
    if peer:
        rows.append(("ratio", f"{ours['total'] / peer['total']:.3f}", f"{peer['total'] / ours['total']:.2f}",
                     f"{ours['peak'] / peer['peak']:.2f}", ""))
    return table(rows)


def run(options):
    data = WORK / f"rows-{options.rows}.jsonl"
    if not data.exists():
        step(f"writing {options.rows} rows")
        library = pathlib.Path(sysconfig.get_paths()["stdlib"])
        folders = [path for path in (DEPS / "reference" / "lib", DEPS / "python", library) if path.exists()]
        made = data.with_suffix(".tmp")
        subprocess.run(["python3", ROOT / "tests" / "bench" / "data_rows.py", made, "--rows", str(options.rows), *folders],
                       check=True, stdout=subprocess.DEVNULL)
        made.rename(data)
    ours, peers, our_removals, peer_removals = [], [], [], []
    for turn in range(options.repeat):
        step(f"attune, {turn + 1} of {options.repeat}")
        ours.append(prepare_with_attune(data))
        if options.peers:
            step("datasets, transformers and trl")
            peers.append(prepare_with_peer(data))
        step("attune, near-duplicates")
        our_removals.append(remove_near_duplicates(data))
        if options.peers:
            step("datatrove")
            peer_removals.append(remove_with_peer(data))
    size = data.stat().st_size
    what = result_table(size, median_of(ours), median_of(peers) if peers else None)
    removed = duplicates_table(size, median_of(our_removals), median_of(peer_removals) if peer_removals else None)
    step(machine())
    print(what, removed, sep="\n\n")
    if options.write:
        write_block("data", f"{options.rows} rows of {size / 1e6:.0f} MB, median of {options.repeat}", [what, removed])
