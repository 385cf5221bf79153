"""Peak memory of measuring a model, from its config alone. An estimate: within a factor of two of
what was measured for activations (docs/benchmarks.md), exact for weights.

    weights      parameters × bytes of the dtype; with model.placement=fsdp a rank's share, and what
                 is gathered at a time: embedding, head and three copies of a layer
  + training     gradients and optimizer states of what is trained, of points that train
  + activations  a batch's tokens × what autograd keeps of a token (weights are frozen: no weight
                 gradient, no optimizer), for every batch that is in memory at a time; of a point
                 that trains, those of training's own pass where these are more
  + logits       a batch's tokens × vocabulary × float32, three times: logits, softmax, gradient
  + factors      of one layer, or of more by options, in float64; with LoRA, those that updates
                 keep of a whole step
  + the rest     libraries, the device's context, workspace of the eigenvalue solver
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gradsweep.config import Config, DeviceMap, Dtype, ModelConfig, Quantization, TrainingKind
from gradsweep.config.objective import OTHER_MODELS, other_model
from gradsweep.config.options import effects_set
from gradsweep.models.footprint import weight_kind, weights_gb
from gradsweep.models.parameters import parameters_of
from gradsweep.plan.estimate.gathering import ranks_of
from gradsweep.plan.estimate.hardware import Hardware
from gradsweep.plan.estimate.shape import shape_of
from gradsweep.plan.estimate.steps import most_responses
from gradsweep.plan.estimate.training import kept_factors_gb, tokens_of_pass, training_gb

KEPT_WIDTHS = 22
"""Widths d that autograd keeps of a token in a layer: 2 of the X of q k v and of o, 4 of norms, 5
of attention, 11 of a gated feed-forward. In 8B shapes 0.36 MB were measured, which this is."""
CHECKPOINTED_WIDTHS = 3
"""The same with gradients.checkpointing: a layer's input and its two X; and one whole layer."""
ACTIVATION_BYTES = {Dtype.float32: 4, Dtype.bfloat16: 3, Dtype.float16: 3}
"""Norms and softmax keep float32 in 16 bits too."""
VOCABULARY = 150_000
"""Of today's models (32,000 in Llama 2, 256,000 in Gemma); of a small one at most as many as make
half of its parameters."""
USUAL_TOKENS = 512
"""Few prompts with a response of the study are longer; its limit is 1024."""
GATHERED_LAYERS = 3
"""Copies of a layer that FSDP2 holds at a time: what comes in, what it becomes, and the next."""
OVERHEAD_GB = {"cuda": 2.0, "cpu": 0.8}
SMALL_MODEL_PARAMETERS = 500_000_000
MOST_WORKERS = 8
"""As `schedule.py`: a CPU has a batch of a small model in memory for each core, at most so many."""


@dataclass(frozen=True)
class Memory:
    """Memory of one job, in GB (10⁹ bytes)."""

    weights: float
    activations: float
    """With logits and factors."""
    overhead: float

    @property
    def total(self) -> float:
        return self.weights + self.activations + self.overhead


def spreads_over_gpus(model: ModelConfig) -> bool:
    """Whether a model's layers go to all GPUs of a process; otherwise it uses one."""
    return model.device_map is DeviceMap.auto


def memory_settings(config: Config) -> tuple[object, ...]:
    """Return what decides `peak_memory`, to compare points by."""
    settings = config.model, config.gradients, config.objective, config.training
    return *settings, most_responses(config)


def longest_batch(config: Config) -> int:
    """Tokens of the largest batch there can be: a pair or group is never divided."""
    return max(config.gradients.batch_tokens, most_responses(config) * config.model.max_length)


def usual_batch(config: Config) -> int:
    """Tokens without which most samples could not run: longer batches are cut where they must."""
    responses = most_responses(config)
    usual = max(config.gradients.batch_tokens, responses * USUAL_TOKENS)
    return min(responses * config.model.max_length, usual)


def peak_memory(config: Config, hardware: Hardware, tokens: int) -> Memory | None:
    """While a batch of `tokens` is measured, or one on each core for a small model on a CPU.

    A point that trains passes `training.batch_size` samples of so many tokens each. None where the
    model's number of parameters is unknown.
    """
    model, wanted = config.model, config.gradients
    parameters = parameters_of(model)
    if parameters is None:
        return None
    shape = shape_of(parameters)
    widths = KEPT_WIDTHS * shape.widths
    if wanted.checkpointing:
        widths = CHECKPOINTED_WIDTHS * shape.widths + KEPT_WIDTHS * shape.width
    vocabulary = min(VOCABULARY, parameters / (2 * shape.width))
    of_token = widths * ACTIVATION_BYTES[model.dtype] + 3 * 4 * vocabulary
    further = sum(effect.layers_of_factors for _, _, effect in effects_set(wanted))
    layers = min(shape.layers, 1 + further)
    # Factors: X of q k v and of o, dY of q and o, smaller k and v.
    of_token += layers * 8 * 6 * shape.width
    at_once = max(tokens * _batches_at_once(config, hardware), tokens_of_pass(config, tokens))
    return Memory(
        _shared_out(weights_gb(parameters, weight_kind(model)), config, hardware)
        + _second_models_gb(config, hardware)
        + training_gb(config),
        at_once * of_token / 1e9 + kept_factors_gb(config, tokens),
        OVERHEAD_GB[hardware.kind],
    )


def _shared_out(whole_gb: float, config: Config, hardware: Hardware) -> float:
    """What one process has of a model's weights, the most of it that it has at a time."""
    ranks = ranks_of(config, hardware)
    if ranks == 1:
        return whole_gb
    parameters = parameters_of(config.model) or 1
    shape = shape_of(parameters)
    around = min(0.5, 2 * VOCABULARY * shape.width / parameters)  # embedding and head
    gathered = around + GATHERED_LAYERS * (1 - around) / shape.layers
    return whole_gb * min(1.0, 1 / ranks + gathered)


def _second_models_gb(config: Config, hardware: Hardware) -> float:
    """Weights of a teacher, or of a reference while it runs; 0 where their size is unknown."""
    models = [other_model(config.objective, name) for name in OTHER_MODELS]
    sizes = [(model, parameters_of(model)) for model in models if model is not None]
    return sum(
        _shared_out(weights_gb(n, weight_kind(model)), config, hardware)
        for model, n in sizes
        if n is not None
    )


def capacity_gb(model: ModelConfig, hardware: Hardware) -> float | None:
    """Return what a job of this model can use; None where the hardware's memory is unknown."""
    if hardware.memory_gb is None:
        return None
    spread = hardware.kind == "cuda" and spreads_over_gpus(model)
    return hardware.memory_gb * (hardware.gpus if spread else 1)


def fits(config: Config, hardware: Hardware, tokens: int) -> bool:
    """False only where both the need and the capacity are known and the need is larger."""
    needed, have = peak_memory(config, hardware, tokens), capacity_gb(config.model, hardware)
    return needed is None or have is None or needed.total <= have


def smaller(config: Config, hardware: Hardware, tokens: int) -> dict[str, float]:
    """Settings that need less -> the estimate with them, in GB; the gentlest first."""
    models = {"": config.model}
    if config.model.dtype is Dtype.float32:
        models["model.dtype=bfloat16"] = replace(config.model, dtype=Dtype.bfloat16)
    trains_all = config.training.kind is TrainingKind.full  # which takes weights that can move
    whole = config.model.quantization is Quantization.none and not config.model.placement
    if whole and not trains_all and hardware.kind == "cuda":
        smallest = replace(list(models.values())[-1], quantization=Quantization.nf4)
        models["model.quantization=nf4"] = smallest
    found = {}
    for setting, model in models.items():
        for checkpointing in sorted({config.gradients.checkpointing, True}):
            gradients = replace(config.gradients, checkpointing=checkpointing)
            asked = "" if gradients == config.gradients else "gradients.checkpointing=true"
            other = replace(config, model=model, gradients=gradients)
            needed = peak_memory(other, hardware, tokens)
            if needed and (setting or asked):
                found[f"{setting} {asked}".strip()] = needed.total
    return dict(sorted(found.items(), key=lambda one: (one[0].count("nf4"), -one[1])))


def _batches_at_once(config: Config, hardware: Hardware) -> int:
    if hardware.kind != "cpu":
        return 1
    small = (parameters_of(config.model) or 0) < SMALL_MODEL_PARAMETERS
    default = min(hardware.cores or 1, MOST_WORKERS) if small else 1
    return config.gradients.workers or default
