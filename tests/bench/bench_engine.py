"""tools/bench engine: fine-tuning on this machine, alone or against Hugging Face trl.

Runs each case through a real cluster (attune up, attune job submit) in build/bench: SmolLM2-135M-Instruct on the functions and
docstrings of Python's standard library, packed sequences of 512, float32. Peers: trl on the same examples, in turn with ours.

  tokens/s      over the steps after the first two; trl's count takes every packed sequence as full
  peak          the largest resident memory of a process, as the kernel counted it
  first step    begin and end of step 1; ours: since submit, on an idle cluster; trl: since the start of the program.
                Both tokenize the data before it, and ours evaluates one example, too
"""

import collections
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import time
import urllib.request

from bench_common import DEPS, GGUF, ROOT, WORK, Cluster, fail, machine, step, table, write_block

SEQUENCE, GLOBAL_BATCH, WARMUP = 512, 2, 2

# loss_on "all" is what trl learns on; "targets" (the assistant's tokens) is our default and needs fewer logits.
Case = collections.namedtuple("Case", "name method ranks threads loss_on peer title")
CASES = [
    Case("lora", "lora", 1, 2, "all", True, "LoRA, 1 process x 2 threads"),
    Case("lora-targets", "lora", 1, 2, "targets", False, "the same, learning assistant tokens only"),
    Case("lora-ranks", "lora", 2, 1, "all", True, "LoRA, 2 ranks x 1 thread"),
    Case("full", "full", 1, 2, "all", True, "full fine-tuning, 1 process x 2 threads"),
]
Measure = collections.namedtuple("Measure", "tokens_per_second peak_bytes first_step_seconds before_step_seconds split")


class EngineCluster(Cluster):
    def prepare(self, data):
        self.run("model", "import", "smollm2", GGUF)
        self.run("dataset", "import", "stdlib-docs", data)

    def training_examples(self, path):
        """The examples of our training split, for the peer."""
        with open(path, "w") as out:
            for shard in sorted(self.home.glob("storage/datasets/stdlib-docs/1/train-*.jsonl")):
                for line in open(shard):
                    out.write(json.dumps({"messages": json.loads(line)["messages"]}) + "\n")

    def worker_metric(self, name):
        values = []
        for line in self.run("node", "list", "-o", "jsonl").splitlines():
            with urllib.request.urlopen(f"http://{json.loads(line)['metrics_address']}/metrics", timeout=10) as page:
                found = re.search(rf"^{name}{{[^}}]*}} (\S+)$", page.read().decode(), re.M)
                values.append(float(found.group(1)) if found else 0.0)
        return values

    def train(self, case, steps):
        shutil.rmtree(self.home / "storage" / "cache", ignore_errors=True)
        spec = {
            "name": "bench", "base": "smollm2", "dataset": "stdlib-docs",
            "method": {"type": case.method} if case.method == "full" else {"type": "lora", "rank": 16, "alpha": 32},
            "ranks": case.ranks,
            "train": {"max_steps": steps, "sequence_length": SEQUENCE, "global_batch": GLOBAL_BATCH, "micro_batch": 1,
                      "precision": "float32", "seed": 1, "threads": case.threads, "loss_on": case.loss_on},
            "optimizer": {"learning_rate": 2e-4, "warmup_steps": 0},
            "evaluate": {"max_examples": 1},
        }
        path = WORK / "job.yaml"
        path.write_text(json.dumps(spec))  # JSON is YAML
        began = time.time()
        first, job = None, None
        watch = subprocess.Popen(self.command("job", "submit", path, "--watch", "-o", "jsonl"), env=self.environment,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in watch.stdout:
            event = json.loads(line)
            job = event["job"]["id"]
            if event["type"] == "step" and first is None:
                first = time.time() - began
        if watch.wait() != 0 or first is None:
            fail(f"the job of case {case.name} failed", f"ATTUNE_HOME={self.home} attune job show {job}")
        rows = [json.loads(line) for line in self.run("job", "metrics", job, "-o", "jsonl").splitlines()]
        rows = [row for row in rows if row.get("loss") is not None]
        before = first - rows[0]["seconds"]
        rows = rows[WARMUP:]
        seconds = sum(row["seconds"] for row in rows)
        split = {part: sum(row[f"seconds_{part}"] for row in rows) / seconds
                 for part in ("data", "forward", "backward", "sync", "optimizer")}
        return Measure(sum(row["tokens"] for row in rows) / seconds, self.peak_of_last_run(), first, before, split)

    def peak_of_last_run(self):
        deadline = time.time() + 30
        while time.time() < deadline and any(self.worker_metric("attune_worker_trainers_running")):
            time.sleep(0.2)
        return max(self.worker_metric("attune_worker_trainer_memory_peak_bytes"))


def train_with_trl(case, steps, data):
    python = DEPS / "reference" / "bin"
    caches = WORK / "peer-caches"
    shutil.rmtree(caches, ignore_errors=True)
    launcher = [str(python / "python")]
    if case.ranks > 1:
        launcher = [str(python / "torchrun"), "--standalone", "--nproc-per-node", str(case.ranks)]
    command = launcher + [
        str(ROOT / "tests" / "bench" / "peer_trl.py"), "--gguf", str(GGUF), "--hf", str(WORK / "smollm2-hf"),
        "--data", str(data), "--method", case.method, "--sequence-length", str(SEQUENCE), "--steps", str(steps),
        "--warmup", str(WARMUP), "--global-batch", str(GLOBAL_BATCH), "--threads", str(case.threads),
        "--output", str(WORK / "peer-output")]
    environment = dict(os.environ, OMP_NUM_THREADS=str(case.threads), HF_HOME=str(caches), CUDA_VISIBLE_DEVICES="")
    peer = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            start_new_session=True)
    try:
        output, errors = peer.communicate()
    except BaseException:
        os.killpg(peer.pid, signal.SIGTERM)
        raise
    lines = [line for line in output.splitlines() if line.startswith("{\"tokens_per_second\"")]
    if peer.returncode != 0 or not lines:
        fail(f"trl failed in case {case.name}:\n{errors[-2000:]}")
    result = json.loads(lines[-1])
    return Measure(*(result[key] for key in ("tokens_per_second", "peak_bytes", "first_step_seconds",
                                             "before_step_seconds")), None)


def median_of(measures):
    return Measure(*(statistics.median(getattr(m, field) for m in measures)
                     for field in Measure._fields[:-1]), measures[0].split)


def result_table(results):
    rows = [("case", "by", "tokens/s", "peak of a process", "first step begins", "and ends")]
    for case, ours, peer in results:
        for who, m in (("attune", ours), ("trl", peer)):
            if m:
                rows.append((case.title if who == "attune" else "", who, f"{m.tokens_per_second:.0f}",
                             f"{m.peak_bytes / 1e9:.2f} GB", f"{m.before_step_seconds:.1f} s",
                             f"{m.first_step_seconds:.1f} s"))
        if peer:
            rows.append(("", "ratio", f"{ours.tokens_per_second / peer.tokens_per_second:.2f}",
                         f"{ours.peak_bytes / peer.peak_bytes:.2f}",
                         f"{ours.before_step_seconds / peer.before_step_seconds:.2f}",
                         f"{ours.first_step_seconds / peer.first_step_seconds:.2f}"))
    return table(rows)


def split_table(results):
    parts = ("data", "forward", "backward", "sync", "optimizer")
    rows = [("share of a step",) + parts]
    for case, ours, _ in results:
        rows.append((case.title,) + tuple(f"{100 * ours.split[part]:.1f}%" for part in parts))
    return table(rows)


def run(options):
    data, examples = WORK / "stdlib-docs.jsonl", WORK / "examples.jsonl"
    subprocess.run([str(ROOT / "tools" / "demo-data"), str(data)], check=True, stdout=subprocess.DEVNULL)
    cluster = EngineCluster(2)
    results = []
    try:
        cluster.prepare(data)
        cluster.training_examples(examples)
        for case in CASES:
            if options.case and case.name not in options.case:
                continue
            ours, peers = [], []
            for turn in range(options.repeat):
                step(f"{case.title}: attune" + (f", {turn + 1} of {options.repeat}" if options.repeat > 1 else ""))
                ours.append(cluster.train(case, options.steps))
                if options.peers and case.peer:
                    step(f"{case.title}: trl")
                    peers.append(train_with_trl(case, options.steps, examples))
            results.append((case, median_of(ours), median_of(peers) if peers else None))
            print(result_table(results[-1:]), flush=True)
    finally:
        cluster.down()
    step(machine())
    print(result_table(results))
    print()
    print(split_table(results))
    if options.write:
        write_block("engine", f"{options.steps} steps of {GLOBAL_BATCH} x {SEQUENCE} tokens, median of {options.repeat}",
                    [result_table(results), split_table(results)])
