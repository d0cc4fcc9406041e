#!/usr/bin/env python3
"""The peer of tools/bench data for near-duplicates: datatrove's MinHash over the same rows.

Runs in the environment of tests/bench/requirements.txt: signatures, buckets, clusters, filter, each with so many tasks, over parts
of the rows. What it compares are prompt and completion as one text, in runs of 5 words, and 14 buckets of 8 hashes, its defaults.
Prints one JSON object: seconds of each stage, rows in and rows kept.
"""

import argparse
import json
import pathlib
import shutil
import time

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter,
                                      MinhashDedupSignature)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter


def as_document(_reader, row, path, number):
    return {"text": row["prompt"] + "\n" + row["completion"], "id": f"{path}/{number}", "metadata": {}}


def split(data, folder, parts):
    """Parts of the rows, as the tasks take whole files."""
    folder.mkdir()
    outs = [(folder / f"{i}.jsonl").open("w") for i in range(parts)]
    count = 0
    for line in data.open():
        outs[count % parts].write(line)
        count += 1
    for out in outs:
        out.close()
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="JSONL of prompt and completion")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="a folder for files that are made anew")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()

    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)
    parts, config = args.work / "rows", MinhashConfig()
    rows = split(args.data, parts, args.processes)
    reader = JsonlReader(str(parts), adapter=as_document)
    names = {name: str(args.work / name) for name in ("signatures", "buckets", "removed", "kept")}
    stages = {
        "signatures": ([reader, MinhashDedupSignature(names["signatures"], config=config)], args.processes),
        "buckets": ([MinhashDedupBuckets(names["signatures"], names["buckets"], config=config)], config.num_buckets),
        "clusters": ([MinhashDedupCluster(names["buckets"], names["removed"], config=config)], 1),
        "filter": ([reader, MinhashDedupFilter(names["removed"]), JsonlWriter(names["kept"], compression=None)],
                   args.processes),
    }
    seconds = {}
    for stage, (pipeline, tasks) in stages.items():
        began = time.time()
        LocalPipelineExecutor(pipeline=pipeline, tasks=tasks, workers=args.processes,
                              logging_dir=str(args.work / f"logs-{stage}")).run()
        seconds[stage] = time.time() - began
    kept = sum(1 for path in pathlib.Path(names["kept"]).iterdir() for _ in path.open())
    print(json.dumps({"seconds": seconds, "rows": rows, "kept": kept}))


if __name__ == "__main__":
    main()
