"""Which samples run together: little padding, every sample once, the same batches every time."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch

from gradsweep.engine import collate, dealt, make_batch, token_batches
from gradsweep.engine.batch import WINDOW_BATCHES
from gradsweep.records import EncodedSample, EncodedUnit, Sample, Shard, Unit


def unit_of(index: int, *lengths: int) -> EncodedUnit:
    samples = [Sample(f"s{index}.{i}", f"q{index}", "", "", index) for i in range(len(lengths))]
    rows = [
        EncodedSample(sample, list(range(1, n + 1)), n // 2, False)
        for sample, n in zip(samples, lengths, strict=True)
    ]
    return EncodedUnit(Unit(tuple(samples)), tuple(rows))


def encoded(lengths: Sequence[int]) -> list[EncodedUnit]:
    return [unit_of(i, n) for i, n in enumerate(lengths)]


def mixed_lengths(n: int, seed: int = 0) -> list[int]:
    draw = random.Random(seed)
    return [min(int(draw.lognormvariate(4.5, 0.7)) + 2, 600) for _ in range(n)]


def padded(batch: Sequence[EncodedUnit]) -> int:
    return sum(len(unit.rows) for unit in batch) * max(unit.n_tokens for unit in batch)


@pytest.mark.parametrize("budget", [1, 128, 512, 100_000])
def test_every_sample_is_in_one_batch_and_batches_keep_the_budget(budget: int) -> None:
    samples = encoded(mixed_lengths(300))
    batches = list(token_batches(samples, budget))
    assert sorted(s.unit.index for batch in batches for s in batch) == list(range(300))
    assert all(len(batch) == 1 or padded(batch) <= budget for batch in batches)
    assert batches == list(token_batches(samples, budget))


def test_little_of_a_batch_is_padding() -> None:
    samples = encoded(mixed_lengths(1000))
    real = sum(unit.n_tokens for unit in samples)
    assert sum(map(padded, token_batches(samples, 1024))) < 1.1 * real


def test_batches_of_the_first_window_come_first() -> None:
    """What is stored of a stopped point is not its shortest or longest samples."""
    samples = encoded(mixed_lengths(1000))
    batches = list(token_batches(samples, 256))
    for n_first in (200, 500):
        early = [s for batch in batches for s in batch][:n_first]
        window = WINDOW_BATCHES * 256 // min(s.n_tokens for s in samples)
        assert max(s.unit.index for s in early) < n_first + window
        late_mean = sum(s.n_tokens for s in samples) / len(samples)
        assert sum(s.n_tokens for s in early) / n_first == pytest.approx(late_mean, rel=0.2)


def test_no_samples_are_no_batches() -> None:
    assert list(token_batches([], 512)) == []


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_part_of_a_batch_is_those_samples_alone(side: str) -> None:
    samples = encoded([4, 9, 6])
    whole = collate(samples, "cpu")
    if side == "left":
        flipped = (whole.input_ids, whole.attention_mask, whole.response_mask)
        whole = type(whole)(*(tensor.flip(1) for tensor in flipped), (1, 1, 1))
    part = whole.part([2, 0])
    assert part.padded_tokens == 2 * 6
    for i, place in enumerate((2, 0)):
        for name in ("input_ids", "response_mask"):
            found, expected = getattr(part, name)[i], getattr(whole, name)[place]
            mask = whole.attention_mask[place]
            assert torch.equal(found[part.attention_mask[i]], expected[mask])


@pytest.mark.parametrize("budget", [1, 40, 300])
def test_a_unit_is_never_torn_apart(budget: int) -> None:
    """Not by batching, not among shards, not where a batch is cut in halves."""
    draw = random.Random(1)
    units = [
        unit_of(i, *(draw.randrange(2, 30) for _ in range(draw.randrange(1, 5)))) for i in range(60)
    ]
    batches = list(token_batches(units, budget))
    assert sorted(u.unit.unit_id for b in batches for u in b) == sorted(
        u.unit.unit_id for u in units
    )
    assert all(len(batch) == 1 or padded(batch) <= budget for batch in batches)
    shards = [batch for i in range(3) for batch in dealt(batches, Shard(i, 3))]
    assert sorted(map(id, shards)) == sorted(map(id, batches))
    for batch in batches:
        whole = collate(batch, "cpu")
        assert whole.rows_of_unit == tuple(len(unit.rows) for unit in batch)
        for place, unit in enumerate(batch):
            part = whole.part([place])
            assert part.units == (unit.unit,)
            rows = zip(part.input_ids, part.attention_mask, unit.rows, strict=True)
            assert all(ids[real].tolist() == row.input_ids for ids, real, row in rows)


def test_units_that_do_not_add_up_to_the_rows_are_refused() -> None:
    ids = torch.ones(3, 4, dtype=torch.long)
    for sizes in ((2,), (2, 2), (3, 0)):
        with pytest.raises(ValueError, match=r"units=.* 3 rows"):
            make_batch(ids, torch.ones(3, 4, dtype=torch.long), None, sizes)
