"""An objective and a metric of one's own: outside the package, in a YAML, through every verb."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from helpers.agreement import assert_rows_agree

from gradsweep import load_rows
from gradsweep.cli import main
from gradsweep.config.composition import ConfigSource, compose
from gradsweep.errors import ConfigError, StopRequested
from gradsweep.extraction import extract
from gradsweep.identity import point_id, science
from gradsweep.store import load_samples_table, point_folders

Captured = pytest.CaptureFixture[str]

OBJECTIVE = '''
from gradsweep import Objective
from gradsweep.records import Unit


class Margin(Objective):
    """The first of two neighbours should be likelier than the second, by a margin."""

    def __init__(self, margin=1.0):
        self.margin = margin

    def units(self, samples):
        return [Unit(tuple(samples[i : i + 2])) for i in range(0, len(samples), 2)]

    def losses(self, tokens):
        first, second = tokens.row_sums(tokens.log_probs).view(-1, 2).unbind(1)
        return (self.margin - first + second).exp().log1p()
'''
METRIC = """
def share_of_largest(spectrum, k=1):
    return spectrum.sigma[:k].sum() / spectrum.sigma.sum()
"""


@pytest.fixture
def lab(tmp_path: Path, saved_model: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command line of a point with parts of a package `own_lab`, which only its user has."""
    package = tmp_path / "src" / "own_lab"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "losses.py").write_text(OBJECTIVE)
    (package / "measures.py").write_text(METRIC)
    monkeypatch.syspath_prepend(tmp_path / "src")
    for name in [name for name in sys.modules if name.partition(".")[0] == "own_lab"]:
        monkeypatch.delitem(sys.modules, name)  # of another test's folder
    for group, text in {
        "objective": "_target_: own_lab.losses.Margin\nmargin: 0.5\n",
        "gradients": "defaults: [attention, _self_]\nbatch_tokens: 1\nown_metrics:\n"
        "  top_share: {_target_: own_lab.measures.share_of_largest, k: 2}\n",
    }.items():
        (tmp_path / "conf" / group).mkdir(parents=True)
        (tmp_path / "conf" / group / "mine.yaml").write_text(f"# Mine.\n{text}")
    lines = [
        {"prompt": f"Tom buys {i} apples.", "responses": {"simplified": f"He has {i} apples."}}
        for i in range(8)
    ]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    monkeypatch.chdir(tmp_path)
    return [
        *("model=folder", f"model.source.path={saved_model}", "model.name=tiny", "tracking=none"),
        *("dataset=jsonl", "dataset.path=mine.jsonl", "dataset.shuffle=false", "cot=simplified"),
        *("objective=mine", "gradients=mine"),
    ]


def composed(overrides: list[str], *more: str) -> object:
    return compose(*overrides, *more, source=ConfigSource(config_dir="conf"))


@pytest.mark.long
def test_a_point_runs_resumes_verifies_and_reports(
    lab: list[str], capsys: Captured, wide_terminal: None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    flags = ["--config-dir", "conf"]
    config = composed(lab)
    with pytest.raises(StopRequested):
        extract(config, show_progress=False, stop=lambda: True)  # type: ignore[arg-type]
    early = load_samples_table("results")
    assert len(early) == 1
    assert main([*lab, *flags]) == 0
    (paths,) = point_folders(Path("results"))
    assert paths.point_id == point_id(config)  # type: ignore[arg-type]
    samples, rows = load_samples_table("results"), load_rows("results")
    assert samples["index"].to_list() == [0, 2, 4, 6]
    assert samples.filter(sample_id=early["sample_id"][0])["seconds"].to_list() == (
        early["seconds"].to_list()
    ), "what was stored before the stop is not measured again"
    assert rows.group_by("sample_id").len()["len"].to_list() == [2 * 4] * 4
    assert rows["top_share"].is_between(rows["sigma_ratio"], 1).all()
    assert rows.filter(pl.col("rank") > 2)["top_share"].max() < 1  # type: ignore[operator]

    capsys.readouterr()
    assert main(["report", "--metric", "top_share"]) == 0
    capsys.readouterr()
    assert list(Path("results/reports").rglob("*top_share*")), "tables and figures of the metric"
    assert main(["verify", *lab, *flags, "n_samples=4"]) == 0
    assert "top_share" in capsys.readouterr().out
    assert main(["doctor", paths.point_id]) == 0


def test_another_batch_or_share_gives_the_same_rows(lab: list[str]) -> None:
    from gradsweep.records import Shard

    whole = extract(composed(lab, "gradients.batch_tokens=512"), show_progress=False)  # type: ignore[arg-type]
    shared = composed(lab, "store.root=shared")
    for i in range(3):
        extract(shared, show_progress=False, shard=Shard(i, 3))  # type: ignore[arg-type]
    assert_rows_agree(load_rows("shared").sort("sample_id"), whole.rows().sort("sample_id"))


def test_what_decides_the_numbers_decides_the_id(
    lab: list[str], tmp_path: Path, make_id: Callable[..., str]
) -> None:
    first = make_id(lab)
    assert make_id(lab, "gradients.workers=2") == first
    assert make_id(lab, "objective.margin=2") != first
    assert make_id(lab, "gradients.own_metrics.top_share.k=3") != first
    assert make_id(lab, "objective=sft") != first
    source = tmp_path / "src" / "own_lab" / "losses.py"
    source.write_text(OBJECTIVE.replace("- first + second", "+ second - first"))
    assert make_id(lab) != first, "the loss may be another one now"


def test_a_source_that_was_edited_is_not_run_from_memory(lab: list[str], tmp_path: Path) -> None:
    """As in a notebook that goes on after its user has changed the file."""
    extract(composed(lab, "n_samples=2"), show_progress=False)  # type: ignore[arg-type]
    source = tmp_path / "src" / "own_lab" / "losses.py"
    source.write_text(OBJECTIVE.replace("- first + second", "+ second - first"))
    with pytest.raises(ConfigError, match=r"own_lab\.losses.*start Python again"):
        extract(composed(lab, "n_samples=2"), show_progress=False)  # type: ignore[arg-type]


@pytest.fixture
def make_id() -> Callable[..., str]:
    return lambda overrides, *more: point_id(composed(overrides, *more))  # type: ignore[arg-type]


def test_the_studys_own_objective_leaves_no_trace_in_the_id(lab: list[str]) -> None:
    config = composed(lab, "objective=sft", "gradients=attention")
    assert "objective" not in science(config)  # type: ignore[arg-type]
    assert "own_metrics" not in science(config)["gradients"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "objective._target_=own_lab.nowhere.Margin",
            r"objective\._target_.*no module own_lab\.no",
        ),
        ("+gradients.own_metrics.rank={_target_: own_lab.measures.f}", "own_metrics.rank"),
        ("gradients.own_metrics.top_share._target_=f", r"own_metrics\.top_share\._target_"),
    ],
    ids=["module", "name_of_a_column", "no_module"],
)
def test_mistakes_name_the_field(lab: list[str], override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        point_id(composed(lab, override))  # type: ignore[arg-type]
