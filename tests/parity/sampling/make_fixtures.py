#!/usr/bin/env python3
"""From what distribution transformers draws a token: expected.json, beside this file.

usage: make_fixtures.py            writes it
       make_fixtures.py --compare  changes nothing; exit 1 when it is not what is made now

Of each case: the logits, temperature, top_k (0: none) and top_p, and the probabilities of the tokens that are left, after
TemperatureLogitsWarper, TopKLogitsWarper and TopPLogitsWarper, in the order in which generate() applies them.
"""

import argparse
import json
import pathlib
import sys

import torch
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import make_references as references  # noqa: E402
from pinned import check_versions  # noqa: E402

EXPECTED = pathlib.Path(__file__).with_name("expected.json")
OPTIONS = [(1.0, 0, 1.0), (0.7, 0, 1.0), (1.0, 5, 1.0), (1.5, 1, 1.0), (1.0, 0, 0.9), (1.3, 0, 0.6), (1.0, 0, 0.01), (0.8, 20, 0.95),
           (2.0, 7, 0.5), (0.2, 50, 0.99)]


def logits_by_name():
    generator = torch.Generator().manual_seed(9)
    return {
        "peaked": torch.randn(300, generator=generator) * 3,
        "flat": torch.randn(60, generator=generator) * 0.1,
        # As of a model in bfloat16, many of whose logits are the same: top_k keeps all that equal the last of them.
        "ties": (torch.randn(200, generator=generator) * 2).round() / 2,
    }


def probabilities(logits, temperature, top_k, top_p):
    scores = TemperatureLogitsWarper(temperature)(None, logits[None].double())
    if top_k > 0:
        scores = TopKLogitsWarper(top_k)(None, scores)
    if top_p < 1:
        scores = TopPLogitsWarper(top_p)(None, scores)
    return torch.softmax(scores[0], 0)


def make():
    logits, cases = logits_by_name(), []
    for name, values in logits.items():
        for temperature, top_k, top_p in OPTIONS:
            if name == "ties" and top_p < 1:
                continue  # which of equal ones top_p keeps is the sort's choice
            left = probabilities(values, temperature, top_k, top_p)
            cases.append(dict(logits=name, temperature=temperature, top_k=top_k, top_p=top_p,
                              tokens=left.nonzero()[:, 0].tolist(), probabilities=left[left > 0].tolist()))
    return dict(logits={name: values.tolist() for name, values in logits.items()}, cases=cases)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compare", action="store_true")
    options = parser.parse_args()
    check_versions()
    made = make()
    if not options.compare:
        return references.write_json(EXPECTED, made)
    found = list(references.json_differences(EXPECTED.name, made, json.loads(EXPECTED.read_text()), 1e-9))
    print("\n".join(found) or "the fixtures are what the references make")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
