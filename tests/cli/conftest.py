"""A user's own YAML beside the built-in options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def own(tmp_path: Path, saved_model: Path) -> Path:
    """A user's own YAML: a model, an experiment, a launcher, a main config; and two datasets."""
    records = {
        "good": {"prompt": "1 + 1?", "responses": {"none": "2"}},
        "bad": {"prompt": "1 + 1?", "responses": {"none": ""}},
        "apart": {"prompt": "2 + 2?", "responses": {"detailed": "It is 4."}},
    }
    (tmp_path / "good.jsonl").write_text(json.dumps(records["good"]) + "\n")
    (tmp_path / "bad.jsonl").write_text(json.dumps(records["bad"]) + "\n")
    lines = [json.dumps(records["good"]), json.dumps(records["apart"])]
    (tmp_path / "apart.jsonl").write_text("\n".join(lines) + "\n")
    files = {
        "model/mine": f"name: mine\nsource:\n  kind: folder\n  path: {saved_model}\n",
        "experiment/two": "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n"
        "    params:\n      n_samples: 1,2\n",
        "start": "defaults: [config, {override model: mine}, _self_]\nn_samples: 1\n",
        "foreign": "colour: red\n",
        "hydra/launcher/here": "defaults: [local, _self_]\narray_parallelism: 1\nwait: true\n",
    }
    folder = tmp_path / "own yaml"
    for name, text in files.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
