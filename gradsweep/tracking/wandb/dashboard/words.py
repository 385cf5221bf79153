"""The text of workspace and report: the question, and how to read each panel."""

from __future__ import annotations

from gradsweep.report.labels import metric_words, projection_list
from gradsweep.tracking.wandb.dashboard.contents import Contents

QUESTION = """\
**What does this data do to this model's layers?** For every (prompt, response) pair gradsweep
takes the weight gradient of each layer's projections, before any weight moves, and its singular
values σ₁ ≥ σ₂ ≥ … . Fast thinking (the answer alone) is compared with slow thinking (chain of
thought), and right responses with irrelevant ones: which training signal is stable over layers?

[Li, Li & Zhou (ACL 2025)](https://arxiv.org/abs/2410.23743) ·
[follow-up on data quality](https://arxiv.org/abs/2504.10766)
"""

HOW_TO_READ = """\
- **Layer curves**: x is the layer, 0 nearest to the input; y is the mean over samples. A line is a
  condition, *cot, correctness*; irrelevant responses have the paler colour of their level. Where
  several models, datasets or seeds fall into one condition, the line is their mean and the band
  goes from the lowest to the highest.
- **Mean** is over the layers of a curve: how much training on this data would move the model.
- **MAD** is the mean absolute difference of neighbouring layers: 0 is a level curve. The paper
  finds it large for fast and small for slow thinking.
- **RD** is |s − s′|/s between the correct curve s and the irrelevant one s′: whether the gradients
  tell right from wrong. Noise makes it positive too: compare levels with each other, not with 0.
- **σ₁/Σσ**, the largest share of the spectrum: near 1 the gradient is one direction.
- **Objective**: other losses than the study's cross-entropy. `dpo` and its like take a pair of
  responses, right and irrelevant, and give one gradient; `grpo` and its like take a group.
- **Effective rank**, exp(entropy of σ/Σσ): about how many directions the gradient uses.
- A point has curves, mean, MAD and RD once all of its samples are done; *live* panels show every
  sample as it is measured, x being its place in the point's order.
"""


def counted(shown: Contents) -> str:
    """List what was measured: the values of every axis, projections and metrics."""
    lines = [f"- **{axis}**: {', '.join(getattr(shown, axis))}" for axis in shown.axes]
    lines.append(f"- **projections**: {projection_list(shown.projections)}")
    lines.append(f"- **metrics**: {', '.join(map(metric_words, shown.metrics))}")
    return "\n".join(lines) + "\n"


def averaged(shown: Contents, *axes: str) -> str:
    """A warning where one line stands for several points; empty otherwise."""
    several = [
        f"{len(getattr(shown, axis))} {axis}s" for axis in axes if len(getattr(shown, axis)) > 1
    ]
    if not several:
        return ""
    return f"Lines and bars here are means over {' and '.join(several)}; bands show their range.\n"
