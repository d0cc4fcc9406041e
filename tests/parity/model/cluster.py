"""Attune on this machine, as a person uses it: through its command line."""

import json
import os
import subprocess


class Cluster:
    """With its state in a folder, from `with` to its end."""

    def __init__(self, programs, home):
        self.attune = programs / "attune"
        self.home = home
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("ATTUNE_")}
        self.environment |= {"ATTUNE_HOME": str(home), "ATTUNE_CONFIG": str(home / "none.yaml")}

    def run(self, *arguments):
        done = subprocess.run([self.attune, *arguments], env=self.environment, text=True, capture_output=True)
        if done.returncode != 0:
            raise SystemExit(f"attune {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def __enter__(self):
        self.run("up", "--workers", "2", "--device", "cpu", "--port", "0", "--metrics-port", "0")
        return self

    def __exit__(self, *_):
        self.run("down")

    def import_rows(self, name, rows, folder, *options):
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        self.run("dataset", "import", name, path, "--validation", "0.2", *options)

    def validation_rows(self, name):
        return [json.loads(line) for shard in sorted((self.home / f"storage/datasets/{name}/1").glob("validation-*.jsonl"))
                for line in shard.read_text(encoding="utf-8").splitlines()]

    def train(self, name, spec, folder):
        """The validation losses that the job reported at its beginning and at its end."""
        path = folder / f"{name}.yaml"
        path.write_text(spec)
        self.run("job", "submit", path, "--watch")
        rows = [json.loads(line) for line in self.run("job", "metrics", name, "-o", "jsonl").splitlines()]
        losses = [row["validation_loss"] for row in rows if row.get("validation_loss") is not None]
        return losses[0], losses[-1]
