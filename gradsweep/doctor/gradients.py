"""Whether gradients were captured and are of a sane size; of stored rows or of a trial pass."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import polars as pl

from gradsweep.analysis.rows import whole_matrices
from gradsweep.doctor.check import Check, CheckState, share
from gradsweep.records import ALL_PROJECTIONS
from gradsweep.report.labels import projection_label
from gradsweep.report.numerals import distinct

PROJECTIONS = "projections"
LOSS = "loss"
NORMS = "gradient norms"
SPECTRA = "spectra"

LARGEST_VOCABULARY = 262_144
"""Gemma's: the bound of a loss where the model's own vocabulary is not at hand."""

VANISHING, EXPLODING = 1e-5, 1e5
"""Median nuclear norms beyond these are no gradients of a mean loss over a response: real models
lie between 0.01 and some hundreds."""

DEAD_LAYER = 1e-6
"""A layer whose norms are this small a part of the other layers' gets no signal."""

MANY_FLAGGED = 0.05


def check_projections(
    rows: pl.DataFrame, layers: Mapping[str, Collection[int]], covered: str = ""
) -> Check:
    """Check whether every asked projection of every layer has finite gradients that are not zero.

    Args:
        rows: one line per (sample, layer, projection).
        layers: each projection that the point asks for -> the layers that have it.
        covered: what is measured, in words; a count when empty.
    """
    rows = whole_matrices(rows, strict=False)
    usable = rows.filter(pl.col("nuclear_norm").is_finite() & (pl.col("nuclear_norm") > 0))
    n_samples = rows["sample_id"].n_unique()
    counts = {
        (layer, name): n
        for layer, name, n in usable.group_by("layer", "projection").len().iter_rows()
    }
    lacking = {
        name: [layer for layer in layers[name] if counts.get((layer, name), 0) < n_samples]
        for name in sorted(layers, key=ALL_PROJECTIONS.index)
    }
    lacking = {name: places for name, places in lacking.items() if places}
    if lacking or not n_samples:
        where = "; ".join(f"{projection_label(n)} {_layers(ls)}" for n, ls in lacking.items())
        return Check(
            PROJECTIONS,
            CheckState.PROBLEM,
            f"no gradient, a zero or one that is not finite, in layers {where}",
            "the model does not use these modules in its forward pass, or something blocks the "
            "gradient: look for hooks, adapters and detached outputs; python -m gradsweep verify "
            "compares with autograd",
        )
    names = " ".join(sorted(layers, key=ALL_PROJECTIONS.index))
    covered = covered or f"measured {names} in {len(set().union(*layers.values()))} layers"
    return Check(PROJECTIONS, CheckState.OK, f"{covered}; all finite and not zero")


def layers_with_rows(rows: pl.DataFrame, asked: Sequence[str]) -> dict[str, list[int]]:
    """Return the layers in which each projection was measured; all, where it was in none.

    A layer without attention, in a hybrid, has no rows of q k v o in any sample.
    """
    places = rows.select("layer", "projection").unique()
    every = range(int(rows["layer"].to_numpy().max()) + 1 if len(rows) else 0)
    found = {name: sorted(places.filter(projection=name)["layer"].to_list()) for name in asked}
    return {name: layers or list(every) for name, layers in found.items()}


def _layers(layers: Sequence[int]) -> str:
    """`0-3,7`: runs are written as such."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and runs[-1][-1] == layer - 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def check_loss(losses: Sequence[float], vocabulary: int | None = None) -> Check:
    """Check that the mean loss (nats per response token) is below a guess's, ln(vocabulary).

    Args:
        losses: of the samples, NaN where there is none.
        vocabulary: of the model; None takes the largest that is common.
    """
    known = [loss for loss in losses if math.isfinite(loss)]
    guess = math.log(vocabulary or LARGEST_VOCABULARY)
    if not known:
        return Check(
            LOSS,
            CheckState.PROBLEM,
            f"none of {len(losses)} is finite",
            "use model.dtype=bfloat16 or float32 (float16 overflows), and check the weights",
        )
    mean = sum(known) / len(known)
    most = "" if vocabulary else " at most"
    words = f"mean {mean:.2f} nats per response token; a guess has ln(vocabulary){most} {guess:.1f}"
    if mean > guess + 0.5:
        return Check(
            LOSS,
            CheckState.PROBLEM,
            f"{words}: worse than a guess",
            "model and tokenizer do not belong together, or the weights are not the trained ones",
        )
    if mean > 0.8 * guess:
        return Check(
            LOSS,
            CheckState.WARNING,
            f"{words}: little better than a guess",
            "check that the weights are trained, the prompt format and the BOS token",
        )
    if mean < 1e-3:
        return Check(
            LOSS,
            CheckState.WARNING,
            f"{words}: the model knows the responses, and gradients vanish",
            "look whether the prompt holds the response, or the model was trained on it",
        )
    if len(known) < len(losses):
        bad = share(len(losses) - len(known), len(losses))
        remedy = "use model.dtype=bfloat16 or float32; empty responses have none either"
        return Check(LOSS, CheckState.WARNING, f"{words}; {bad} have none", remedy)
    return Check(LOSS, CheckState.OK, words)


def check_norms(rows: pl.DataFrame) -> Check:
    """Check whether nuclear norms neither vanish nor explode, as a whole or in single layers."""
    finite = whole_matrices(rows, strict=False).filter(pl.col("nuclear_norm").is_finite())
    by_layer = finite.group_by("layer").agg(pl.col("nuclear_norm").median()).sort("layer")
    if by_layer.is_empty():
        return Check(NORMS, CheckState.PROBLEM, "there are none", "see projections and loss")
    typical = float(np.median(by_layer["nuclear_norm"].to_numpy()))
    values = by_layer["nuclear_norm"].to_numpy()
    low, middle, high = distinct([values.min(), float(np.median(values)), values.max()])
    words = f"median nuclear norm {middle}, by layer from {low} to {high}"
    if not VANISHING < typical < EXPLODING:
        what = "vanish" if typical <= VANISHING else "explode"
        return Check(
            NORMS,
            CheckState.PROBLEM,
            f"{words}: they {what}",
            "check the loss and the weights; in float16 use model.dtype=bfloat16 or float32",
        )
    dead = by_layer.filter(pl.col("nuclear_norm") < DEAD_LAYER * typical)["layer"].to_list()
    if dead:
        remedy = "something blocks the gradient there: look for hooks, adapters, pruned layers"
        return Check(
            NORMS, CheckState.PROBLEM, f"{words}: nothing in layers {_layers(dead)}", remedy
        )
    return Check(NORMS, CheckState.OK, words)


def check_spectra(rows: pl.DataFrame) -> Check:
    """Check that spectra agree with their factors (`checksum_error`) and are finite (`finite`)."""
    flagged = len(rows) - int(rows["finite"].sum())
    if not len(rows):
        return Check(SPECTRA, CheckState.PROBLEM, "there are none", "see projections and loss")
    if not flagged:
        worst = rows["checksum_error"].fill_nan(None).to_numpy().max()
        return Check(
            SPECTRA, CheckState.OK, f"all {len(rows)} agree with their factors (within {worst:.0e})"
        )
    state = CheckState.PROBLEM if flagged > MANY_FLAGGED * len(rows) else CheckState.WARNING
    return Check(
        SPECTRA,
        state,
        f"{share(flagged, len(rows))} rows are flagged, and left out of every mean",
        "use gradients.solver=svd, or a dtype with a wider range (bfloat16, float32)",
    )
