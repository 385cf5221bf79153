"""`score`: samples in order, with texts, as files that are data again."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from gradsweep import compose, extract, load_rows
from gradsweep.cli import main
from gradsweep.cli.verbs import run_verb
from gradsweep.data import load_samples
from gradsweep.errors import ConfigError, DataError, UsageError

Captured = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("wide_terminal")


@pytest.fixture
def model(saved_model: Path) -> list[str]:
    named = ["model=folder", f"model.source.path={saved_model}", "model.name=tiny"]
    return [*named, "n_samples=6", "gradients.projections=[q]", "tracking=none"]


@pytest.fixture
def stored(model: list[str], tmp_path: Path) -> Path:
    extract(compose(*model, "cot=none"), show_progress=False)
    return tmp_path / "results"


def scored(folder: Path, end: str = "") -> list[dict[str, object]]:
    (path,) = [p for p in folder.glob("reports/*/scores/*.jsonl") if end in p.stem.split("__")]
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_file_has_every_sample_the_largest_first_with_its_texts(
    stored: Path, model: list[str], capsys: Captured
) -> None:
    assert main(["score"]) == 0
    lines = scored(stored, "none")
    rows = load_rows(stored).group_by("sample_id").agg(pl.col("nuclear_norm").mean())
    means = rows.sort("nuclear_norm", descending=True)
    assert [line["sample_id"] for line in lines] == means["sample_id"].to_list()
    assert [line["nuclear_norm"] for line in lines] == pytest.approx([*means["nuclear_norm"]])
    assert [line["rank"] for line in lines] == [1, 2, 3, 4, 5, 6]
    texts = {s.sample_id: s for s in load_samples(compose(*model, "cot=none")).samples}
    for line in lines:
        sample = texts[str(line["sample_id"])]
        assert (line["prompt"], line["response"]) == (sample.prompt, sample.response)
        assert min(float(str(line[name])) for name in ("loss", "n_response_tokens")) > 0
    shown = capsys.readouterr().out
    assert "response tokens" in shown
    assert "Spearman" in shown


def test_either_end_is_a_dataset(stored: Path, model: list[str]) -> None:
    assert main(["score", "cot=none", "--by", "effective_rank", "--top", "2", "--bottom", "3"]) == 0
    folder = stored / "reports" / "all__cot=none" / "scores"
    (top,), (bottom,) = (list(folder.glob(f"*__{end}.jsonl")) for end in ("top_2", "bottom_3"))
    ranks = [[json.loads(line)["rank"] for line in p.open(encoding="utf-8")] for p in (top, bottom)]
    assert ranks == [[1, 2], [6, 5, 4]]
    data = ["dataset=jsonl", f"dataset.path={top}", "cot=none"]
    again = load_samples(compose(*(word for word in model if "n_samples" not in word), *data))
    exported = [json.loads(line) for line in top.open(encoding="utf-8")]
    assert {(s.prompt, s.response) for s in again.samples} == {
        (line["prompt"], line["response"]) for line in exported
    }


@pytest.mark.long
def test_overrides_are_measured_first(model: list[str], tmp_path: Path, capsys: Captured) -> None:
    assert main(["score", *model, "cot=detailed", "--top", "1"]) == 0
    assert load_rows(tmp_path / "results")["cot"].unique().to_list() == ["detailed"]
    assert len(list((tmp_path / "results").glob("reports/*/scores/*__top_1.jsonl"))) == 1
    assert main(["score", *model, "cot=detailed"]) == 0, "it is done already"
    assert "scores " in capsys.readouterr().out


def test_what_is_wrong_is_said(stored: Path) -> None:
    for words, error, told in (
        (["score", "cot=detailled"], ConfigError, "cot=detailled"),
        (["score", "--by", "nuclear"], ConfigError, "nuclear"),
        (["score", "elsewhere"], DataError, "elsewhere"),
        (["score", "--sweep", "mine", "n_samples=3"], UsageError, "--sweep=mine"),
    ):
        with pytest.raises(error, match=told):
            run_verb(words[0], words[1:])


def test_responses_whose_length_was_matched_have_no_text_to_export(
    model: list[str], tmp_path: Path
) -> None:
    extract(compose(*model, "cot=none", "cot.match_length=detailed"), show_progress=False)
    assert main(["score"]) == 0
    assert "prompt" not in scored(tmp_path / "results", "tiny")[0]
    assert main(["score", "--top", "2"]) == 1
