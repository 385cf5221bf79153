"""Every dataset of the study at every level, correct and irrelevant, from the paper's layout.

Real files where this machine has them (../shared), small files of the same form elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import mean

import pytest
from helpers.paper_layout import PAPER_DATASETS
from helpers.places import CONF, RELEASE
from omegaconf import OmegaConf

from gradsweep.config import Config, Release
from gradsweep.data import LoadedSamples, fingerprint
from gradsweep.data.answers import split_final_line
from gradsweep.data.paper.sources import release_checksums
from gradsweep.data.sentences import split_sentences

MakeConfig = Callable[..., Config]
FILES = {
    (name, level): relative
    for name in PAPER_DATASETS
    for level, relative in OmegaConf.load(CONF / "dataset" / f"{name}.yaml")["files"].items()
}
"""The file of every dataset and level."""


CONDITIONS: dict[str, tuple[tuple[str, ...], dict[str, object]]] = {
    "correct": ((), {}),
    "paper": (("irrelevant",), {"source": "paper"}),
    "generated": (("irrelevant",), {"source": "generated"}),
}


def test_the_study_has_its_thirteen_datasets() -> None:
    assert len(PAPER_DATASETS) == 13
    assert len(FILES) == 6 * 3 + 3 * 2 + 4


@pytest.mark.parametrize(("dataset", "level"), FILES, ids=str)
def test_the_release_has_the_file_and_its_irrelevant_responses(dataset: str, level: str) -> None:
    folder, _, file = FILES[dataset, level].rpartition("/")
    known = set(release_checksums(Release.layer_gradient))
    assert {f"{folder}/{file}", f"{folder}_wrong_answer_shuffle/{file}"} <= known


@pytest.mark.parametrize("source", CONDITIONS)
@pytest.mark.parametrize(("dataset", "level"), FILES, ids=str)
def test_every_condition_loads(
    dataset: str,
    level: str,
    source: str,
    paper_root: Path,
    make_config: MakeConfig,
    loaded: Callable[..., LoadedSamples],
) -> None:
    condition = (dataset, level, *CONDITIONS[source][0])
    fields = CONDITIONS[source][1] | {"root": paper_root}
    config, read = make_config(*condition, **fields), loaded(*condition, **fields)
    real = (RELEASE / FILES[dataset, level]).is_file()
    expected = (454 if dataset == "wiki_unpopular" else 500) if real else 12
    assert len(read.samples) == expected
    assert len({sample.question_id for sample in read.samples}) == expected
    assert all(sample.response.strip() for sample in read.samples)
    assert fingerprint(config) == fingerprint(config)


@pytest.mark.parametrize(("dataset", "level"), FILES, ids=str)
def test_generated_responses_look_like_the_correct_ones_and_keep_no_answer(
    dataset: str, level: str, paper_root: Path, loaded: Callable[..., LoadedSamples]
) -> None:
    """As many sentences, about as long, the same kind of ending, and never the own answer."""
    correct, generated = (
        [s.response for s in loaded(dataset, level, *rest, root=paper_root, **fields).samples]
        for rest, fields in (CONDITIONS["correct"], CONDITIONS["generated"])
    )
    pairs = list(zip(correct, generated, strict=True))
    counts, overlaps = [], []
    for own, other in pairs:
        (own_text, _, own_answer), (text, _, answer) = map(split_final_line, (own, other))
        assert own.casefold() != other.casefold()
        assert (own_answer is None) == (answer is None)
        assert own_answer is None or own_answer.casefold() != answer.casefold()
        sentences, others = split_sentences(own_text), split_sentences(text)
        counts.append((len(sentences), len(others)))
        overlaps.append(bool(set(sentences) & set(others)))
    # Texts without full stops are split otherwise once their sentences stand in a row.
    assert mean(n for _, n in counts) == pytest.approx(mean(n for n, _ in counts), rel=0.15)
    assert mean(overlaps) <= 0.02
    assert mean(map(len, generated)) == pytest.approx(mean(map(len, correct)), rel=0.15)
