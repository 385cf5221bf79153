"""Rows that are read once for several metrics give what reading them each time gives."""

import numpy as np
import polars as pl
import pytest
from helpers.question_rows import planted

from gradsweep.analysis import held_conditions, held_rows
from gradsweep.analysis.chosen_rows import ChosenRows, ProjectionRows, read_together
from gradsweep.analysis.held_conditions import HeldConditions, held
from gradsweep.analysis.held_rows import HeldRows
from gradsweep.analysis.open_questions.evaluate import answers
from gradsweep.analysis.open_questions.material import QuestionMaterial, Steps
from gradsweep.analysis.open_questions.question import answers_frame
from gradsweep.analysis.point_rows import FrameRows, conditions_of

METRICS = ("nuclear_norm", "stable_rank")


class Counted(ChosenRows):
    """All points of a frame, which count how often rows of each were read."""

    reads: list[str] = []  # noqa: RUF012  # of the class, which is made anew for each test

    def rows(self, point_ids, metrics=None):
        self.reads.extend(point_ids)
        return super().rows(point_ids, metrics)


@pytest.fixture
def frame() -> FrameRows:
    """Two levels with both kinds of responses, of two metrics."""
    noise = np.random.default_rng(0)
    conditions = {
        (cot, kind): {
            "nuclear_norm": noise.lognormal(size=40),
            "stable_rank": noise.lognormal(size=40),
            "tokens": noise.integers(5, 50, 40),
            "loss": noise.lognormal(size=40),
        }
        for cot in ("none", "detailed")
        for kind in ("correct", "irrelevant")
    }
    rows, samples = planted(conditions, projections="qk")
    return FrameRows(rows, samples)


@pytest.fixture
def source(frame, monkeypatch) -> Counted:
    monkeypatch.setattr(Counted, "reads", [])
    return Counted(frame, frame.points)


def ids_of(source) -> list[str]:
    return source.points["point_id"].to_list()


@pytest.mark.parametrize("most", [10**6, 1], ids=["all held", "one held"])
def test_held_rows_are_those_of_the_source(most, source, monkeypatch):
    monkeypatch.setattr(held_rows, "_MOST_HELD", most)
    ids, kept = ids_of(source), HeldRows(source, METRICS)
    for _ in range(2):
        assert kept.rows(ids, ["stable_rank"]).equals(source.source.rows(ids))
        assert kept.rows(ids[:1]).equals(source.source.rows(ids[:1]))  # all metrics
    once = len(ids) + 2  # and what nobody has said that it would be asked for
    assert (len(source.reads) == once) == (most > 1)


@pytest.mark.parametrize("most", [10**6, 1], ids=["all held", "one held"])
def test_held_conditions_have_the_values_of_those_that_read_anew(most, source, monkeypatch):
    monkeypatch.setattr(held_conditions, "_MOST_HELD", most)
    found, anew = held(source, METRICS), conditions_of(source.source)
    assert isinstance(found, HeldConditions)
    for metric in (*METRICS, *METRICS):
        for ids in (ids_of(source)[:1], ids_of(source)):
            expected, values = anew.values(ids, metric), found.values(ids, metric)
            assert list(values) == list(expected)
            for name, one in values.items():
                assert sorted(one.asked) == sorted(expected[name].asked)
                for projection, of_one in one.values.items():
                    other = expected[name].values[projection]
                    assert of_one.question_ids == other.question_ids
                    assert (of_one.values == other.values).all()


@pytest.mark.parametrize("most", [10**6, 1], ids=["at once", "one by one"])
def test_every_row_and_sample_comes_once(most, source, monkeypatch):
    monkeypatch.setattr("gradsweep.analysis.chosen_rows._READ_TOGETHER", most)
    parts = list(read_together(source, METRICS))
    assert (len(parts) == 1) == (most > 1)
    rows, samples = (pl.concat(tables) for tables in zip(*parts, strict=True))
    assert rows.equals(source.source.rows(ids_of(source)))
    assert sorted(samples["sample_id"]) == sorted(source.samples(ids_of(source))["sample_id"])


def test_open_questions_of_points_say_what_those_of_their_frame_say(frame, monkeypatch):
    monkeypatch.setattr("gradsweep.analysis.chosen_rows._READ_TOGETHER", 1)
    steps = Steps(frame.frame.clear(), frame.every_sample)
    tables = [
        answers_frame(answers(QuestionMaterial(source, steps, "nuclear_norm", 0.95, 100, seed=0)))
        for source in (frame, HeldRows(ChosenRows(frame, frame.points), METRICS))
    ]
    assert len(tables[0])
    assert tables[0].equals(tables[1])


def test_rows_of_some_projections_are_no_others(frame):
    projection = frame.frame["projection"][0]
    chosen = ProjectionRows(frame, frozenset({projection}))
    assert set(chosen.rows(ids_of(frame))["projection"]) == {projection}
