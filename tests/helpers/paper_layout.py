"""The paper's data folder: its datasets, and small files of the same form."""

from __future__ import annotations

import json
from pathlib import Path

from omegaconf import OmegaConf

from helpers.places import CONF

PAPER_DATASETS = [
    path.stem
    for path in sorted((CONF / "dataset").glob("*.yaml"))
    if OmegaConf.load(path)["kind"] == "paper" and "release" not in OmegaConf.load(path)
]
"""Of the study; its follow-up's have another layout."""


def write_small_release(root: Path) -> None:
    """Every file of every dataset, with 12 questions and the form of the dataset's answers.

    With CoT three sentences and an ending; irrelevant responses are those of the next question.
    """
    for name in PAPER_DATASETS:
        dataset = OmegaConf.load(CONF / "dataset" / f"{name}.yaml")
        for level, relative in dataset["files"].items():
            right = [_response(dataset["answer"], level, i) for i in range(12)]
            folder, _, file = relative.rpartition("/")
            _write(root / relative, dataset["answer"], right)
            shuffled = root / f"{folder}_wrong_answer_shuffle" / file
            _write(shuffled, dataset["answer"], [*right[1:], right[0]])


def _response(answer_kind: str, level: str, index: int) -> str:
    answer = {
        "number": str(100 + index),
        "choice": f"({'ABC'[index % 3]})",
        "binary": ("yes", "no")[index % 2],
        "text": f"Topic {index} is old. It has {index} parts. People like it.",
    }[answer_kind]
    if answer_kind == "text" or level == "none":
        return answer
    reasoning = f"Look at case {index}. Take away {index}. What is left is plain."
    if level == "simplified":
        return f"{reasoning}\nThe final answer is {answer}"
    return f"{reasoning}\n\nTherefore, for case {index}, it is {answer}."


def _write(path: Path, answer_kind: str, outputs: list[str]) -> None:
    options = "\\nOptions:\\n(A) 1\\n(B) 2\\n(C) 3" if answer_kind == "choice" else ""
    records = [
        {
            "instruction": f"Question {i} of {path.parent.name[:7]}?{options}",
            "input": "",
            "output": o,
        }
        for i, o in enumerate(outputs)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records), encoding="utf-8")
