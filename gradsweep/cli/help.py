"""The text of `python -m gradsweep --help`, from the config files themselves."""

from __future__ import annotations

import textwrap

from gradsweep.cli.verbs import VERBS
from gradsweep.config.files import AXIS_GROUPS, option_values, options
from gradsweep.models.footprint import amount, weights_gb

_HEAD = """\
gradsweep measures the layer-wise gradients that training data cause in an LLM: for every
sample, the singular values of the weight gradient of each layer's q, k, v, o projection,
under fast thinking (answer only) and slow thinking (chain of thought).

usage: python -m gradsweep [axis=option ...] [field=value ...]       one point
       python -m gradsweep -m [axis=option,option,... ...]           a grid of points
       python -m gradsweep -m +experiment=NAME [axis=option ...]     a grid with a name
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
  model.dtype=bfloat16     of weights and activations (float32, bfloat16, float16)
  model.quantization=nf4   weights in 4 bits, of a model in safetensors (none, nf4)
  model.device_map=auto    one model over all GPUs of the node (null, auto)
  model.placement=fsdp     one model over the processes of torchrun or srun (null, fsdp)
  training=full            train the model, measured by step (none, lora, series)
  gradients.projections=[q,v]   what to measure (q k v o; gate up down or fc1 fc2)
  tracking=none            do not write Weights & Biases runs
  dataset.shuffle=false    the first samples in file order, not a seeded subset

verbs
{verbs}

more
  --cfg job                the whole composed config, with every field
  --config-dir DIR         your own YAML beside the built-in options
  --hydra-help             Hydra's own flags and launchers
  --version                gradsweep's
  eval "$(python -m gradsweep --shell-completion install=bash)"
                           Tab completes verbs, options, fields; also python -m gradsweep
"""

_MEANING = {
    "model": "which model's gradients; memory of its float32 weights; gated: ask on the hub first",
    "dataset": "which questions",
    "cot": "how much reasoning the response shows",
    "correctness": "the right response, or one that does not belong",
    "objective": "what loss; of one response, of a pair or of a group: docs/objectives.md",
    "experiment": "with -m; what the command line says of an axis or a field counts",
}


def help_text() -> str:
    """The whole text: usage, examples, axes with their options, fields, verbs."""
    axes = "\n".join(_group(f"{group}=…", group) for group in AXIS_GROUPS)
    experiments = _group("+experiment=…", "experiment")
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {line}" for verb, line in VERBS.items())
    tail = _TAIL.format(verbs=verbs)
    return f"{_HEAD}\naxes\n{axes}\nnamed grids\n{experiments}\n{tail}"


def _group(given: str, group: str) -> str:
    lines = [f"  {given}  {_MEANING[group]}"]
    lines_by_option = _with_memory(options(group)) if group == "model" else options(group)
    width = max(map(len, lines_by_option), default=0)
    for name, sentence in lines_by_option.items():
        lines += textwrap.wrap(
            sentence,
            width=90,
            initial_indent=f"    {name:<{width}}  ",
            subsequent_indent=" " * (width + 6),
        )
    return "\n".join(lines) + "\n"


def _with_memory(models: dict[str, str]) -> dict[str, str]:
    """Add a column of memory behind the options' names; blank where an option has no size."""
    sizes = option_values("model", "parameters")
    memory = {name: amount(weights_gb(int(n), "float32")) for name, n in sizes.items()}
    width = max(map(len, models))
    return {f"{name:<{width}} {memory.get(name, ''):>8}": line for name, line in models.items()}
