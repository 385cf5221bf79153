"""Which samples run together: little padding, every sample once, the same batches every time."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch

from gradsweep.engine import collate, token_batches
from gradsweep.engine.batch import WINDOW_BATCHES
from gradsweep.records import EncodedSample, Sample


def encoded(lengths: Sequence[int]) -> list[EncodedSample]:
    return [
        EncodedSample(Sample(f"s{i}", f"q{i}", "", "", i), list(range(1, n + 1)), n // 2, False)
        for i, n in enumerate(lengths)
    ]


def mixed_lengths(n: int, seed: int = 0) -> list[int]:
    draw = random.Random(seed)
    return [min(int(draw.lognormvariate(4.5, 0.7)) + 2, 600) for _ in range(n)]


def padded(batch: Sequence[EncodedSample]) -> int:
    return len(batch) * max(len(sample.input_ids) for sample in batch)


@pytest.mark.parametrize("budget", [1, 128, 512, 100_000])
def test_every_sample_is_in_one_batch_and_batches_keep_the_budget(budget: int) -> None:
    samples = encoded(mixed_lengths(300))
    batches = list(token_batches(samples, budget))
    assert sorted(s.sample.index for batch in batches for s in batch) == list(range(300))
    assert all(len(batch) == 1 or padded(batch) <= budget for batch in batches)
    assert batches == list(token_batches(samples, budget))


def test_little_of_a_batch_is_padding() -> None:
    samples = encoded(mixed_lengths(1000))
    real = sum(len(sample.input_ids) for sample in samples)
    assert sum(map(padded, token_batches(samples, 1024))) < 1.1 * real


def test_batches_of_the_first_window_come_first() -> None:
    """What is stored of a stopped point is not its shortest or longest samples."""
    samples = encoded(mixed_lengths(1000))
    batches = list(token_batches(samples, 256))
    for n_first in (200, 500):
        early = [s for batch in batches for s in batch][:n_first]
        window = WINDOW_BATCHES * 256 // min(len(s.input_ids) for s in samples)
        assert max(s.sample.index for s in early) < n_first + window
        late_mean = sum(len(s.input_ids) for s in samples) / len(samples)
        assert sum(len(s.input_ids) for s in early) / n_first == pytest.approx(late_mean, rel=0.2)


def test_no_samples_are_no_batches() -> None:
    assert list(token_batches([], 512)) == []


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_part_of_a_batch_is_those_samples_alone(side: str) -> None:
    samples = encoded([4, 9, 6])
    whole = collate(samples, "cpu")
    if side == "left":
        flipped = (whole.input_ids, whole.attention_mask, whole.response_mask)
        whole = type(whole)(*(tensor.flip(1) for tensor in flipped))
    part = whole.part([2, 0])
    assert part.padded_tokens == 2 * 6
    for i, place in enumerate((2, 0)):
        for name in ("input_ids", "response_mask"):
            found, expected = getattr(part, name)[i], getattr(whole, name)[place]
            mask = whole.attention_mask[place]
            assert torch.equal(found[part.attention_mask[i]], expected[mask])
