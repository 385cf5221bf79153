"""The text of `python -m gradsweep --help`, from the config files themselves."""

from __future__ import annotations

import textwrap

from gradsweep.conf_files import AXIS_GROUPS, options

_HEAD = """\
gradsweep measures the layer-wise gradients that training data cause in an LLM: for every
sample, the singular values of the weight gradient of each layer's q, k, v, o projection,
under fast thinking (answer only) and slow thinking (chain of thought).

usage: python -m gradsweep [axis=option ...] [field=value ...]       one point
       python -m gradsweep -m [axis=option,option,... ...]           a grid of points
       python -m gradsweep VERB [--help]                             one of the verbs below

examples
  The study's main comparison, on the embedded model and data (no account, no download):
    python -m gradsweep -m cot=none,simplified,detailed correctness=correct,irrelevant
  Your own questions and answers, on a model from the Hugging Face hub:
    python -m gradsweep model=qwen2_1.5b dataset=jsonl dataset.path=mine.jsonl cot=detailed
  The paper's GSM8K on two models; see what would run first, then run it:
    python -m gradsweep plan -m model=qwen2_1.5b,llama3_8b dataset=gsm8k \\
        dataset.root=/data/layer_gradient cot=none,detailed

Running a command again skips what is done and goes on where it was stopped.
"""

_TAIL = """\
fields you may want to set
  n_samples=20             samples per point (default: the dataset's own number)
  store.root=results       where results go
  model.prompt=plain       plain text or the model's chat template (plain, chat)
  model.dtype=bfloat16     of weights and activations (float32, bfloat16)
  gradients.projections=[q,v]   what to measure (q k v o; gate up down or fc1 fc2)
  tracking=none            do not write Weights & Biases runs
  dataset.shuffle=false    the first samples in file order, not a seeded subset

verbs
  plan      what a command would run, skip and leave out; nothing is started
  status    the state of every point in a results folder
  report    comparison tables and figures of what is stored
  verify    a few samples recomputed by autograd and a float64 SVD: do the numbers agree?

more
  --cfg job                the whole composed config, with every field
  --config-dir DIR         your own YAML beside the built-in options
  --hydra-help             Hydra's own flags and launchers
"""

_AXIS_MEANING = {
    "model": "which model's gradients",
    "dataset": "which questions",
    "cot": "how much reasoning the response shows",
    "correctness": "the right response, or one that does not belong",
}


def help_text() -> str:
    axes = "\n".join(_axis(group) for group in AXIS_GROUPS)
    return f"{_HEAD}\naxes\n{axes}\n{_TAIL}"


def _axis(group: str) -> str:
    lines = [f"  {group}=…  {_AXIS_MEANING[group]}"]
    found = options(group)
    width = max(map(len, found), default=0)
    for name, sentence in found.items():
        lines += textwrap.wrap(
            sentence,
            width=90,
            initial_indent=f"    {name:<{width}}  ",
            subsequent_indent=" " * (width + 6),
        )
    return "\n".join(lines) + "\n"
