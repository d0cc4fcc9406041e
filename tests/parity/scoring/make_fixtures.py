#!/usr/bin/env python3
"""What the Python packages score: tests/fixtures/scoring/expected.json.

usage: make_fixtures.py            writes it
       make_fixtures.py --compare  changes nothing; exit 1 when it is not what is made now

Exact match and token F1: normalize_answer, compute_exact and compute_f1 of SQuAD's evaluate-v2.0.py, as they stand there.
ROUGE-L: rouge-score, stemmer off. JSON schemas: jsonschema, draft 2020-12, or draft 7 where a schema says so.
"""

import argparse
import collections
import importlib.metadata
import json
import pathlib
import random
import re
import string
import sys

import jsonschema
from rouge_score import rouge_scorer

ROOT = pathlib.Path(__file__).resolve().parents[3]
EXPECTED = ROOT / "tests/fixtures/scoring/expected.json"
PINNED = {"rouge-score": "0.1.2", "jsonschema": "4.26.0"}

PAIRS = [
    ("Paris", "Paris"),
    ("the Paris.", "paris"),
    ("", ""),
    ("", "Paris"),
    ("the", "a"),
    ("the", "Paris"),
    ("...", ""),
    ("It is in  Paris, France", "Paris (France)"),
    ("a an the theory another", "theory, another"),
    ("state-of-the-art", "state of the art"),
    ("well-the-known", "wellknown"),
    ("O'Neill's cat", "ONeills cat"),
    ("ÉCOLE polytechnique", "école Polytechnique"),
    ("STRASSE Straße", "straße strasse"),
    ("ΑΒΓ ΔΕΖ", "αβγ δεζ"),
    ("ПРИВЕТ, мир!", "привет мир"),
    ("the\u00a0cat\u2003sat\tdown\n", "cat sat down"),
    ("“the cat”", "“cat”"),
    ("aéa a é", "aéa é"),
    ("日本語 の テスト", "日本語 テスト"),
    ("100,000 people", "100000 people"),
    ("3.14", "314"),
    ("yes yes no", "yes no no"),
    ("the quick brown fox jumps over the lazy dog", "the lazy dog jumps over the quick brown fox"),
    ("def add(a, b):\n    return a + b", "def add(x, y):\n  return x + y"),
    ("snake_case_name", "snake case name"),
    ("Ünïcödé tokens are dropped", "unicode tokens are dropped"),
    ("\u212a is the Kelvin sign", "k is the kelvin sign"),
    ("😀 smile", "smile 😀"),
    ("x" * 50, "x" * 50 + " y"),
]

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1}, "age": {"type": "integer", "minimum": 0},
                   "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}},
    "required": ["name"],
    "additionalProperties": False,
}
LIST = {"$defs": {"node": {"type": "object", "properties": {"value": {"type": "number"}, "next": {"anyOf": [
    {"type": "null"}, {"$ref": "#/$defs/node"}]}}, "required": ["value", "next"]}}, "$ref": "#/$defs/node"}
SCHEMAS = [
    (True, ["1", "{}"]),
    (False, ["1"]),
    (PERSON, ['{"name": "Ada"}', '{"name": ""}', '{"name": "Ada", "age": 3}', '{"name": "Ada", "age": 3.0}',
              '{"name": "Ada", "age": 3.5}', '{"name": "Ada", "age": -1}', '{"age": 3}', '{"name": "Ada", "x": 1}', "[]",
              '{"name": "Ada", "tags": ["a", "b"]}', '{"name": "Ada", "tags": ["a", "a"]}', '{"name": null}']),
    (LIST, ['{"value": 1, "next": null}', '{"value": 1, "next": {"value": 2.5, "next": null}}',
            '{"value": 1, "next": {"value": "2", "next": null}}', '{"value": 1}']),
    ({"type": ["string", "null"]}, ['"a"', "null", "1"]),
    ({"enum": [1, "a", [1, 2], {"k": 1.0}, True]}, ["1", "1.0", '"a"', "[1,2]", "[2,1]", '{"k":1}', "true", "false"]),
    ({"const": {"a": [1]}}, ['{"a":[1]}', '{"a":[1.0]}', '{"a":[2]}', '{"a":[true]}']),
    ({"minimum": 1, "exclusiveMaximum": 3}, ["1", "0.99", "2.9", "3", '"text"']),
    ({"maximum": 1, "exclusiveMinimum": -1}, ["1", "1.01", "-1", "-0.5"]),
    ({"multipleOf": 0.5}, ["1", "1.25", "0", "-1.5"]),
    ({"multipleOf": 7}, ["14", "15", "14.0", "1e30"]),
    ({"minLength": 2, "maxLength": 3}, ['"é"', '"éé"', '"日本語"', '"日本語だ"', "1", '"😀😀"']),
    ({"pattern": "^a+b?$"}, ['"aab"', '"b"', '"aaa"', '"aabb"', "5"]),
    ({"pattern": "b"}, ['"abc"', '"acc"']),
    ({"patternProperties": {"^n_": {"type": "number"}}, "additionalProperties": {"type": "string"}},
     ['{"n_a": 1}', '{"n_a": "1"}', '{"b": "1"}', '{"b": 1}']),
    ({"propertyNames": {"maxLength": 2}}, ['{"ab": 1}', '{"abc": 1}', "{}"]),
    ({"minProperties": 1, "maxProperties": 2}, ["{}", '{"a":1}', '{"a":1,"b":2,"c":3}']),
    ({"prefixItems": [{"type": "string"}, {"type": "number"}], "items": False}, ['["a", 1]', '["a", 1, 2]', '["a"]', "[1]"]),
    ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}],
      "additionalItems": {"type": "number"}}, ['["a", 1, 2]', '["a", "b"]', "[]"]),
    ({"contains": {"type": "number"}, "minContains": 2, "maxContains": 3}, ["[1]", "[1,2]", '[1,"a",2,3]', "[1,2,3,4]"]),
    ({"contains": {"const": 1}}, ["[1]", "[]", "[2, 1]", '"no list"']),
    ({"contains": {"const": 1}, "minContains": 0}, ["[]", "[2]"]),
    ({"minItems": 1, "maxItems": 2, "uniqueItems": True}, ["[]", "[1]", "[1, 1.0]", "[1, true]", "[1,2,3]", '[{"a":1},{"a":1.0}]']),
    ({"allOf": [{"type": "number"}, {"minimum": 2}]}, ["3", "1", '"a"']),
    ({"oneOf": [{"multipleOf": 3}, {"multipleOf": 5}]}, ["3", "5", "15", "7"]),
    ({"not": {"type": "string"}}, ["1", '"a"']),
    ({"if": {"properties": {"kind": {"const": "a"}}, "required": ["kind"]}, "then": {"required": ["x"]},
      "else": {"required": ["y"]}}, ['{"kind": "a", "x": 1}', '{"kind": "a", "y": 1}', '{"kind": "b", "y": 1}', '{"x": 1}']),
    ({"dependentRequired": {"card": ["address"]}, "dependentSchemas": {"age": {"properties": {"age": {"minimum": 18}}}}},
     ['{"card": 1}', '{"card": 1, "address": 2}', '{"age": 17}', '{"age": 18}', "{}"]),
    ({"type": "object", "properties": {"children": {"items": {"$ref": "#"}}}, "required": ["id"]},
     ['{"id": 1, "children": [{"id": 2}]}', '{"id": 1, "children": [{}]}']),
    ({"properties": {"a/b": {"type": "string"}, "c": {"$ref": "#/properties/a~1b"}}}, ['{"c": "x"}', '{"c": 1}']),
    ({"format": "date", "title": "a date", "x-note": 1}, ['"no date"']),
]


def normalize_answer(s):
    def remove_articles(text):
        regex = re.compile(r"\b(a|an|the)\b", re.UNICODE)
        return re.sub(regex, " ", text)

    def white_space_fix(text):
        return " ".join(text.split())

    def remove_punc(text):
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    def lower(text):
        return text.lower()

    return white_space_fix(remove_articles(remove_punc(lower(s))))


def get_tokens(s):
    return normalize_answer(s).split() if s else []


def compute_exact(a_gold, a_pred):
    return int(normalize_answer(a_gold) == normalize_answer(a_pred))


def compute_f1(a_gold, a_pred):
    gold_toks = get_tokens(a_gold)
    pred_toks = get_tokens(a_pred)
    common = collections.Counter(gold_toks) & collections.Counter(pred_toks)
    num_same = sum(common.values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        return int(gold_toks == pred_toks)
    if num_same == 0:
        return 0
    precision = 1.0 * num_same / len(pred_toks)
    recall = 1.0 * num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall)


def random_pairs(count):
    """Sentences out of few words, so that they share some in every order."""
    generator = random.Random(5)
    words = ["the", "a", "An", "cat", "Cat.", "dog", "dog's", "runs", "runs,", "x-ray", "É", "é", "42", "(the)", "\u00a0"]
    for _ in range(count):
        yield tuple(" ".join(generator.choice(words) for _ in range(generator.randrange(12))) for _ in range(2))


def make():
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    pairs = []
    for answer, reference in [*PAIRS, *random_pairs(60)]:
        pairs.append({"answer": answer, "reference": reference, "exact_match": compute_exact(reference, answer),
                      "token_f1": compute_f1(reference, answer),
                      "rouge_l": scorer.score(reference, answer)["rougeL"].fmeasure})
    schemas = []
    for schema, documents in SCHEMAS:
        validator = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)(schema)
        for document in documents:
            schemas.append({"schema": json.dumps(schema), "document": document,
                            "valid": validator.is_valid(json.loads(document))})
    return {"pairs": pairs, "schemas": schemas}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compare", action="store_true")
    options = parser.parse_args()
    for name, version in PINNED.items():
        if importlib.metadata.version(name) != version:
            raise SystemExit(f"{name} is {importlib.metadata.version(name)}, not {version}")
    made = make()
    if options.compare:
        same = json.loads(EXPECTED.read_text(encoding="utf-8")) == made
        print(f"{EXPECTED.name}: {len(made['pairs'])} pairs, {len(made['schemas'])} documents,",
              "the same" if same else "they differ")
        sys.exit(0 if same else 1)
    lines = {key: ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries) for key, entries in made.items()}
    EXPECTED.write_text(f'{{"pairs": [\n{lines["pairs"]}\n],\n"schemas": [\n{lines["schemas"]}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
