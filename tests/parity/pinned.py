"""What the reference scripts share: the pinned versions, and where tools/setup puts things."""

import importlib.metadata
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPS = pathlib.Path(os.environ.get("ATTUNE_DEPS_DIR", ROOT / ".deps"))
SMOLLM2 = DEPS / "models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MINILM = DEPS / "models/minilm"


def check_versions():
    """Ends the program unless every package has the version of requirements.txt."""
    for line in (ROOT / "tests/parity/requirements.txt").read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        name, wanted = line.split("==")
        found = importlib.metadata.version(name)
        if found.split("+")[0] != wanted:
            raise SystemExit(f"{name} is {found}, the references are made by {wanted}: run tools/setup --reference")
