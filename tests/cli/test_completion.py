"""What Tab offers: verbs, options, fields and their values."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gradsweep.cli.completion import SCRIPT, complete
from gradsweep.cli.verbs import VERBS

BOOLEANS = ["gradients.similarities=true", "gradients.similarities=false"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gradsweep re", ["retry", "report"]),
        ("python -m gradsweep raport", []),
        ("/opt/bin/gradsweep cot=si", ["cot=simplified"]),
        ("gradsweep -m cot=none,si", ["cot=none,simplified"]),
        ("gradsweep plan -m cot=none,n", ["cot=none,none_as_long_as_detailed"]),
        ("gradsweep plan -m cot=none,simplified,s", []),
        ("gradsweep verify model.prompt=", ["model.prompt=plain", "model.prompt=chat"]),
        ("gradsweep model.quant", ["model.quantization="]),
        ("gradsweep gradients.similarities=", BOOLEANS),
        ("gradsweep +experiment=paper_w", ["+experiment=paper_wiki"]),
        ("gradsweep -m hydra/launcher=loc", ["hydra/launcher=local"]),
        ("gradsweep model.sou", ["model.source."]),
        ("gradsweep model.source.hub", ["model.source.hub_id="]),
        ("gradsweep compare cot=none cot=si", ["cot=simplified"]),
        ("gradsweep cot=none re", []),
        ("gradsweep --hy", ["--hydra-help"]),
    ],
)
def test_a_word_is_completed(line: str, expected: list[str]) -> None:
    assert complete(line) == expected


def test_verbs_come_first_and_no_verb_after_one() -> None:
    assert complete("gradsweep ")[: len(VERBS)] == list(VERBS)
    assert not set(VERBS) & set(complete("gradsweep plan "))
    assert complete("gradsweep status ") == complete("gradsweep report ") != []


def test_options_of_ones_own_are_offered(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").touch()
    assert complete(f"gradsweep --config-dir {tmp_path} model=mi")[-1:] == ["model=mine"]


def test_bash_reads_it_for_both_ways_to_call(tmp_path: Path) -> None:
    """As bash calls it: the line is cut into words at each `=`, which the answer follows."""
    program = tmp_path / "gradsweep"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m gradsweep "$@"\n')
    program.chmod(0o755)
    lines = [
        SCRIPT,
        "compopt() { :; }",
        "COMP_LINE='gradsweep cot=si' COMP_POINT=16 COMP_WORDS=(gradsweep cot = si) COMP_CWORD=3",
        "_gradsweep; echo ${COMPREPLY[@]}",
        "COMP_LINE='python -m gradsweep stat' COMP_POINT=24 COMP_CWORD=3",
        f"COMP_WORDS=({sys.executable} -m gradsweep stat)",
        "_gradsweep_python; echo ${COMPREPLY[@]}",
        "complete -p python gradsweep",
    ]
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    answer = subprocess.run(
        ["bash", "-c", "\n".join(lines)], capture_output=True, text=True, env=environment
    )
    first, second, *rules = answer.stdout.splitlines()
    assert (first, second) == ("simplified", "status")
    assert len(rules) == 2
