#!/usr/bin/env python3
"""Fails when an include breaks the layering of docs/design.md: dependencies point one way.

    layering_test.py [ROOT]
"""

import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

# Folder -> folders of ours that its files may include from; the folder itself is always allowed. The longest folder
# that matches a file counts. "attune" is the generated code of proto/.
ALLOWED = {
    "common/base": [],
    "common/log": ["common/base"],
    "common/gguf": ["common/base"],
    "common/ledger": ["common/base"],
    "common/safetensors": ["common/base"],
    "common/model": ["common/base", "common/gguf", "common/safetensors"],
    "common/yaml": ["common/base"],
    "common/statistics": ["common/base"],
    "common/scoring": ["common/base"],
    "common": ["common", "attune"],
    "coordinator": ["common", "attune"],
    "worker/text": ["common/base", "common/gguf", "common/safetensors"],
    "worker/engine": ["worker/text", "common/base", "common/gguf", "common/ledger", "common/model",
                      "common/safetensors", "common/scoring"],
    "worker/agent": ["common", "attune"],
    "worker/trainer": ["worker/engine/engine.h", "worker/engine/evaluation.h", "worker/engine/parity.h", "common",
                       "attune"],
    "tools": ["common", "attune"],
}

OURS = ("common/", "coordinator/", "worker/", "tools/", "tests/", "attune/")

TORCH = r"(torch|ATen|c10|caffe2)/"
RPC = r"(grpc|grpcpp|google/protobuf|google/rpc)/|.*\.pb\.h$"

# (files below, includes that none of them may have, why)
FORBIDDEN = [
    ("common", TORCH, "torch stays in worker/engine"),
    ("coordinator", TORCH, "the coordinator never sees torch"),
    ("worker/agent", TORCH, "the worker never sees torch"),
    ("worker/trainer", TORCH, "torch's headers and gRPC's must not meet: go through worker/engine/engine.h"),
    ("worker/text", TORCH + "|" + RPC, "text is a library of its own"),
    ("tools", TORCH, "the CLI never sees torch"),
    ("worker/engine", RPC, "the engine never sees gRPC or protobuf"),
    ("common/base", RPC + "|spdlog/|nlohmann/|yaml-cpp/", "common/base stands on nothing"),
    ("coordinator", r"CLI/", "command lines are parsed in main files"),
]
# main files parse command lines.
EXEMPT = {("coordinator", "main.cc")}


def below(path, folder):
    return path == folder or path.startswith(folder + "/")


def problems_of(path, text):
    """(line number, message) for each include of the file that breaks a rule."""
    rules = [folder for folder in ALLOWED if below(path, folder)]
    if not rules:
        return
    folder = max(rules, key=len)
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        name = match[2]
        for prefix, pattern, why in FORBIDDEN:
            if below(path, prefix) and re.match(pattern, name) and (prefix, path.rsplit("/", 1)[-1]) not in EXEMPT:
                yield number, f"includes {name}: {why}"
        if name.startswith(OURS) and not any(below(name, allowed) for allowed in [folder, *ALLOWED[folder]]):
            yield number, f"includes {name}, which {folder}/ must not depend on"


def self_test():
    """The rules must be able to fail."""
    bad = [
        ("coordinator/jobs/a.cc", "#include <torch/torch.h>"),
        ("coordinator/api/a.h", '#include "worker/engine/engine.h"'),
        ("worker/agent/a.cc", "#include <ATen/ATen.h>"),
        ("worker/engine/model/a.cc", "#include <grpcpp/grpcpp.h>"),
        ("worker/engine/data/a.h", '#include "attune/v1/jobs.pb.h"'),
        ("worker/engine/data/a.h", '#include "common/rpc/rpc.h"'),
        ("worker/trainer/a.cc", '  #  include "worker/engine/model/language_model.h"'),
        ("common/base/a.h", '#include "common/log/log.h"'),
        ("common/spec/a.h", '#include "coordinator/jobs/job.h"'),
        ("tools/cli/a.cc", '#include "coordinator/jobs/job.h"'),
    ]
    for path, line in bad:
        assert list(problems_of(path, line)), f"the rules accept {path}: {line}"
    good = [
        ("coordinator/jobs/a.cc", '#include "common/base/status.h"'),
        ("worker/trainer/a.cc", '#include "worker/engine/engine.h"'),
        ("worker/engine/model/a.cc", "#include <ATen/ATen.h>"),
    ]
    for path, line in good:
        assert not list(problems_of(path, line)), f"the rules refuse {path}: {line}"


def main():
    self_test()
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    files = failures = 0
    for top in ("common", "coordinator", "worker", "tools"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".h", ".cc", ".cu") or "target" in path.parts:
                continue
            files += 1
            relative = path.relative_to(root).as_posix()
            for number, message in problems_of(relative, path.read_text(errors="replace")):
                print(f"{relative}:{number}: {message}")
                failures += 1
    print(f"{files} files, {failures} includes against the layering")
    sys.exit(1 if failures or not files else 0)


if __name__ == "__main__":
    main()
