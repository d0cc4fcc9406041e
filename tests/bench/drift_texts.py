#!/usr/bin/env python3
"""Texts for drift_simulation: the docstrings of Python's standard library, a JSON object a line.

usage: .deps/reference/bin/python tests/bench/drift_texts.py > FILE

{"text": ..., "topic": the top-level module, "embedding": 64 numbers}. Those shorter than 40 characters are left out, and
those of its own tests. Embeddings are latent semantic ones (TF-IDF, the 64 largest singular vectors, length 1): made of the
text alone, correlated and in groups as those of a language model are, and quick to make.
"""

import ast
import json
import pathlib
import sysconfig

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer


def docstrings():
    root = pathlib.Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if relative.parts[0] in ("site-packages", "dist-packages", "test"):
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                text = ast.get_docstring(node) or ""
                if len(text) >= 40:
                    yield {"text": text, "topic": relative.parts[0].removesuffix(".py")}


def main():
    rows = list(docstrings())
    weights = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform([row["text"] for row in rows])
    embeddings = TruncatedSVD(64, random_state=0).fit_transform(weights)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True) + 1e-9
    for row, embedding in zip(rows, embeddings):
        print(json.dumps(row | {"embedding": [round(float(value), 5) for value in embedding]}))


if __name__ == "__main__":
    main()
