"""How steadily a run trains: loss spikes, how its gradient's norm moves, what is left of the loss.

The gradient's norm is that over all trained weights, before clipping, as every trainer has it;
where a run has none of it, the Frobenius norm over the matrices of its `update` rows stands for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.rows import in_reading_order
from gradsweep.analysis.training.moments import RUN
from gradsweep.records import Source
from gradsweep.store.training import TrainingTables

Floats = NDArray[np.float64]

SPIKE_WINDOW = 20
"""Steps before one that say what loss was to be expected of it."""
FEWEST_BEFORE = 8
"""Before the first steps nothing is known, so there is no spike among them."""
SPIKE_DEVIATIONS = 7.0
"""Standard deviations above the expected loss that make a spike."""
_TO_DEVIATION = 1.4826 / np.sqrt(2)
"""Standard deviation of a normal distribution over the median size of two draws' difference."""
_LEAST_DEVIATION = 1e-3
"""Of the expected loss: what differs by less than a thousandth is no spike, however even the loss
was before."""

_NUMBERS: dict[str, Any] = {
    **dict.fromkeys(("n_steps", "n_samples", "n_tokens", "n_spikes"), pl.Int64()),
    **dict.fromkeys(
        (
            "learning_rate", "tokens_per_sample", "first_loss", "last_loss",
            "first_norm", "last_norm", "spread", "step_to_step", "largest_ratio",
            "first_held_out", "last_held_out",
        ),
        pl.Float64(),
    ),
}  # fmt: skip
_EQUAL: dict[str, Any] = {
    "equal_steps": pl.Int64(),
    "held_out_at_equal_steps": pl.Float64(),
    "equal_tokens": pl.Int64(),
    "held_out_at_equal_tokens": pl.Float64(),
}


def stability(tables: TrainingTables) -> pl.DataFrame:
    """Sum every run up in a line: how long it was, and how steadily it went.

    Columns of `RUN`; n_steps, n_samples, n_tokens (trained on); learning_rate (the largest);
    tokens_per_sample (response tokens); first and last loss, norm and held-out loss; and

    - n_spikes: loss spikes (`loss_spikes`);
    - spread: standard deviation over steps of the gradient norm's logarithm;
    - step_to_step: root mean square of the differences between the logarithms of neighbouring
      steps' norms, over √2 (von Neumann et al., 1941). Of independent steps it is the spread; a
      norm that falls steadily adds nothing to it;
    - largest_ratio: largest gradient norm over their median;
    - held_out_at_equal_steps and _tokens: held-out loss, interpolated at the least number of steps
      (equal_steps) and of response tokens (equal_tokens) that all runs of a model and objective
      with held-out losses have come to.

    NaN where there are too few steps, or nothing was held out. A run without optimizer steps, such
    as a series of checkpoints, has no line.
    """
    norms = _norms_of_updates(tables.rows)
    lines, held = [], []
    for run in tables.steps.partition_by("point_id", maintain_order=True):
        steps = run.sort("step")
        trained = steps.filter(pl.col("n_samples") > 0)
        if trained.is_empty():
            continue
        norm = _norms(trained, norms.get(steps["point_id"][0], {}))
        lines.append({**{name: steps[name][0] for name in RUN}, **_numbers(steps, trained, norm)})
        held.append(_held_out(steps))
    schema = {name: tables.steps.schema[name] for name in RUN} | _NUMBERS
    return in_reading_order(_with_equal_amounts(pl.DataFrame(lines, schema=schema), held))


def loss_spikes(losses: Floats) -> NDArray[np.bool_]:
    """Mark the steps at which the loss spikes: (steps,) of booleans.

    A loss is a spike where it lies above the median of the `SPIKE_WINDOW` losses before it (of
    `FEWEST_BEFORE` at least) by more than `SPIKE_DEVIATIONS` standard deviations. These are
    estimated by 1.4826/√2 times the median size of the differences between neighbouring losses of
    the window, which neither a falling loss nor a spike before moves much. It is the identifier of
    Hampel (1974), one-sided, with the factor that the spike score of OLMo 2 has for mean and
    standard deviation (arXiv 2501.00656). A loss that is not finite is one, too.
    """
    found = ~np.isfinite(losses)
    for step in range(FEWEST_BEFORE, len(losses)):
        before = losses[max(0, step - SPIKE_WINDOW) : step]
        before = before[np.isfinite(before)]
        if found[step] or len(before) < FEWEST_BEFORE:
            continue
        expected = np.median(before)
        deviation = _TO_DEVIATION * np.median(np.abs(np.diff(before)))
        least = _LEAST_DEVIATION * abs(expected)
        found[step] = losses[step] - expected > SPIKE_DEVIATIONS * max(deviation, least)
    return found


def count_spikes(losses: Floats) -> int:
    """Count loss spikes; steps in a row that are above are one."""
    found = loss_spikes(losses)
    return int(found[:1].sum() + (found[1:] & ~found[:-1]).sum())


def _numbers(steps: pl.DataFrame, trained: pl.DataFrame, norms: Floats) -> dict[str, Any]:
    losses = trained["loss"].to_numpy()
    held_out = steps["held_out_loss"].to_numpy()
    held_out = held_out[np.isfinite(held_out)]
    n_samples, n_tokens = int(trained["n_samples"].sum()), int(trained["n_tokens"].sum())
    positive = norms[np.isfinite(norms) & (norms > 0)]
    logs = np.log(positive)
    return {
        "n_steps": len(trained),
        "n_samples": n_samples,
        "n_tokens": n_tokens,
        "n_spikes": count_spikes(losses),
        "learning_rate": float(np.nanmax(trained["learning_rate"].to_numpy())),
        "tokens_per_sample": n_tokens / n_samples,
        "first_loss": float(losses[0]),
        "last_loss": float(losses[-1]),
        "first_norm": float(norms[0]),
        "last_norm": float(norms[-1]),
        "spread": float(logs.std(ddof=1)) if len(logs) > 2 else np.nan,
        "step_to_step": float(np.sqrt(np.mean(np.diff(logs) ** 2) / 2)) if len(logs) > 2
        else np.nan,
        "largest_ratio": float(positive.max() / np.median(positive)) if len(logs) > 2 else np.nan,
        "first_held_out": float(held_out[0]) if len(held_out) else np.nan,
        "last_held_out": float(held_out[-1]) if len(held_out) else np.nan,
    }  # fmt: skip


def _norms(trained: pl.DataFrame, of_updates: dict[int, float]) -> Floats:
    """The gradient's norm at each step: the trainer's, or that of the update rows; else NaN."""
    norms = trained["gradient_norm"].to_numpy()
    if np.isfinite(norms).any():
        return norms
    return np.array([of_updates.get(step, np.nan) for step in trained["step"]])


def _norms_of_updates(rows: pl.DataFrame) -> dict[str, dict[int, float]]:
    """Run -> step -> root of the summed squares of the Frobenius norms of its matrices."""
    updates = rows.filter(
        pl.col("source") == Source.update.value,
        pl.col("head").is_null() & pl.col("member").is_null(),
    )
    summed = updates.group_by("point_id", "step").agg(
        norm=(pl.col("frobenius_norm") ** 2).sum().sqrt()
    )
    found: dict[str, dict[int, float]] = {}
    for name, step, norm in summed.iter_rows():
        found.setdefault(name, {})[step] = norm
    return found


def _held_out(steps: pl.DataFrame) -> Floats:
    """Steps and tokens that the weights have had, and their held-out loss: (3, times it was
    taken)."""
    tokens = np.concatenate([[0], np.cumsum(steps["n_tokens"].to_numpy())[:-1]])
    whole = np.stack([steps["step"].to_numpy(), tokens, steps["held_out_loss"].to_numpy()])
    return np.asarray(whole[:, np.isfinite(whole[2])])


def _with_equal_amounts(runs: pl.DataFrame, held: list[Floats]) -> pl.DataFrame:
    """The held-out losses at the least number of steps and tokens of a model's runs."""
    groups: dict[tuple[str, str], list[int]] = {}
    for place, key in enumerate(runs.select("model", "objective").iter_rows()):
        if held[place].shape[1]:
            groups.setdefault(key, []).append(place)
    lines: list[dict[str, Any]] = [dict.fromkeys(_EQUAL) for _ in held]
    for places in groups.values():
        for row, name in enumerate(("steps", "tokens")):
            least = min(held[place][row].max() for place in places)
            for place in places:
                loss = np.interp(least, held[place][row], held[place][2])
                lines[place] |= {f"equal_{name}": int(least), f"held_out_at_equal_{name}": loss}
    equal = pl.DataFrame(lines, schema=_EQUAL)
    return pl.concat([runs, equal], how="horizontal").with_columns(
        pl.col(pl.Float64).fill_null(np.nan)
    )
