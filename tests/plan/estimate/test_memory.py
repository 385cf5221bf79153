"""Memory against what was measured, and in the directions in which settings move it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from gradsweep import compose
from gradsweep.config import Config
from gradsweep.plan.estimate import (
    Hardware,
    capacity_gb,
    fits,
    longest_batch,
    peak_memory,
    smaller,
    usual_batch,
)
from gradsweep.plan.estimate.memory import KEPT_WIDTHS, Memory
from gradsweep.plan.estimate.shape import shape_of

CPU = Hardware("cpu", cores=2)
GPU = Hardware("cuda", "A100", 80, gpus=1, cores=8)

SHAPES = {
    "smollm2_135m_instruct": (576, 30, 1536),
    "qwen3_0.6b": (1024, 28, 3072),
    "qwen2_1.5b": (1536, 28, 8960),
    "gemma2_2b": (2304, 26, 9216),
    "llama2_7b": (4096, 32, 11008),
    "llama3_8b": (4096, 32, 14336),
    "gemma2_9b": (3584, 42, 14336),
    "gemma3_27b": (5376, 62, 21504),
    "llama3.1_70b": (8192, 80, 28672),
}
"""Width, layers and width of the feed-forward, as the models' own configs have them."""
MiB = 2**20


def config(*overrides: str) -> Config:
    return compose("tracking=none", *overrides)


def needed(*overrides: str, hardware: Hardware = GPU) -> Memory:
    given = config(*overrides)
    found = peak_memory(given, hardware, longest_batch(given))
    assert found is not None
    return found


@pytest.mark.parametrize("model", SHAPES)
def test_the_shape_follows_from_the_number_of_parameters(model: str) -> None:
    parameters = config(f"model={model}").model.parameters
    assert parameters is not None
    shape, (width, layers, feed_forward) = shape_of(parameters), SHAPES[model]
    kept = layers * (11 * width + 3 * feed_forward)
    closeness, loosely = (1.25, 1.9) if parameters > 5e8 else (2, 2.1)
    assert kept / closeness < KEPT_WIDTHS * shape.widths < kept * closeness
    assert width / loosely < shape.width < width * loosely
    assert layers / 1.5 < shape.layers < layers * 1.5


@pytest.mark.parametrize(
    ("tokens", "checkpointing", "measured"),
    [(100, False, 255 * MiB), (450, False, 1462 * MiB), (450, True, 840 * MiB)],
)
def test_activations_are_those_of_the_benchmark(
    tokens: int, checkpointing: bool, measured: float
) -> None:
    """SmolLM2 on two cores, one batch each: docs/benchmarks.md."""
    found = needed(
        "model=smollm2_135m_instruct",
        f"model.max_length={tokens}",
        f"gradients.batch_tokens={tokens}",
        f"gradients.checkpointing={checkpointing}",
        hardware=CPU,
    )
    assert measured / 1.5 < found.activations * 1e9 < measured * 1.5


@pytest.mark.parametrize(
    ("tokens", "response", "measured"),
    [(250, 150, 252 * MiB), (500, 350, 496 * MiB), (1000, 800, 1018 * MiB)],
)
def test_a_layer_keeps_what_was_measured_on_8b_shapes(
    tokens: int, response: int, measured: float
) -> None:
    """Two layers, a vocabulary of 32,000: docs/benchmarks.md."""
    modelled = tokens * 2 * KEPT_WIDTHS * 4096 * 4 + response * 3 * 32_000 * 4
    assert measured / 1.15 < modelled < measured * 1.15


def test_more_tokens_need_more_and_weights_stay() -> None:
    sizes = [needed("model=llama3_8b", f"model.max_length={n}") for n in (512, 1024, 2048)]
    assert sizes[0].activations < sizes[1].activations < sizes[2].activations
    assert sizes[0].weights == sizes[2].weights == pytest.approx(32.1, abs=0.1)


@pytest.mark.parametrize("less", ["model.dtype=bfloat16", "gradients.checkpointing=true"])
def test_what_is_offered_as_smaller_is_smaller(less: str) -> None:
    plain = config("model=gemma3_27b")
    offered = smaller(plain, GPU, longest_batch(plain))
    assert offered[less] == pytest.approx(needed("model=gemma3_27b", less).total)
    assert max(offered.values()) < needed("model=gemma3_27b").total
    assert min(offered, key=lambda name: offered[name]).startswith("model.quantization=nf4")


def test_a_small_model_has_a_batch_for_each_core_in_memory() -> None:
    one, many = (
        needed("model=smollm2_135m_instruct", hardware=Hardware("cpu", cores=n)).activations
        for n in (1, 4)
    )
    assert many == pytest.approx(4 * one)
    large = [needed("model=llama3_8b", hardware=Hardware("cpu", cores=n)) for n in (1, 4)]
    assert large[0] == large[1]


def test_what_is_unknown_is_not_refused() -> None:
    mine, large = config("model=folder", "model.source.path=/m"), config("model=llama3.1_70b")
    assert peak_memory(mine, GPU, 512) is None
    assert fits(mine, GPU, 512)
    assert fits(large, Hardware("cuda", "A100", None, gpus=1), 512)
    assert not fits(large, GPU, 512)


def test_gradients_and_optimizer_states_are_of_what_is_trained() -> None:
    def beyond_weights(*overrides: str) -> float:
        given = ("model=llama3_8b", "training.update_every=0", *overrides)
        return needed(*given).weights - needed("model=llama3_8b").weights

    whole = beyond_weights("training=full")
    assert whole == pytest.approx(3 * 32.1, rel=0.01), "a gradient and two moments of each weight"
    assert beyond_weights("training=full", "training.optimizer=sgd") == pytest.approx(whole / 3)
    some = beyond_weights("training=full", "training.trained_layers=[0,1,2,3]")
    assert whole / 16 < some < whole / 6, "four of 32 layers"
    adapters = beyond_weights("training=lora", "training.rank=8")
    # 6.8 million weights of rank 8 on q, k, v and o of Llama-3-8B, in float32, four times
    assert adapters == pytest.approx(4 * 4 * 6.8e-3, rel=0.5)
    assert beyond_weights("training=lora", "training.trained_layers=[0,1,2,3]") < adapters / 4
    assert beyond_weights("training=lora", "training.update_every=1") > adapters


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ("training.batch_size=2", "training.batch_size=4"),
        ("training.accumulation=1", "training.accumulation=8"),
        ("training.update_layers=4", "training.update_layers=1"),
        ("training.trained_layers=[0,1]", "training.trained_layers=[0,1,2,3]"),
        ("gradients.projections=[q,v]", "gradients.projections=[q,k,v,o]"),
        ("training.update_every=0", "training.update_every=10"),
    ],
)
def test_adapters_updates_need_more_the_more_factors_are_kept(less: str, more: str) -> None:
    small, large = (needed("model=llama3_8b", "training=lora", given) for given in (less, more))
    assert small.activations < large.activations


def test_a_training_pass_has_its_samples_side_by_side_and_accumulation_adds_none() -> None:
    def activations(*overrides: str) -> float:
        return needed("model=llama3_8b", "training=full", *overrides).activations

    one, four = (activations(f"training.batch_size={n}") for n in (1, 4))
    assert one == needed("model=llama3_8b").activations
    assert four == pytest.approx(4 * one)
    assert activations("training.batch_size=1", "training.accumulation=8") == one


@pytest.mark.long
@pytest.mark.parametrize(
    "kind", [["training=lora", "training.accumulation=4"], ["training=full"]], ids=lambda k: k[0]
)
def test_a_training_point_takes_what_is_estimated_or_down_to_half_of_it(
    kind: list[str], embedded_model: Distribution, tmp_path: Path
) -> None:
    """The peak of a real process, whose samples are no longer than `model.max_length`."""
    overrides = [
        *("model=smollm2_135m_instruct", "model.max_length=110", "cot=none", "n_samples=12"),
        *("tracking=none", "training.steps=1", "training.batch_size=2", "training.probe_every=0"),
        *(f"store.root={tmp_path}", *kind),
    ]
    code = f"""
import resource
from gradsweep import compose, extract
extract(compose(*{overrides}))
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    measured = float(done.stdout.rsplit("peak ", 1)[1]) / 1e9
    estimated = needed(*overrides, "gradients.batch_tokens=110", hardware=CPU).total
    assert measured < estimated < 2 * measured


def test_weights_that_all_train_are_not_offered_in_4_bits() -> None:
    for kind, offered in (("full", False), ("lora", True)):
        trained = config("model=llama3_8b", f"training={kind}")
        assert any("nf4" in way for way in smaller(trained, GPU, 512)) == offered


def test_a_usual_batch_is_what_most_samples_need() -> None:
    assert (usual_batch(config()), longest_batch(config())) == (512, 1024)
    assert usual_batch(config("gradients.batch_tokens=16")) == 512, "of one sample"
    assert usual_batch(config("gradients.batch_tokens=800")) == 800
    assert usual_batch(config("model.max_length=128")) == 128


def test_all_responses_of_a_pair_or_group_are_in_memory_together(tmp_path: Path) -> None:
    pair = config("objective=dpo")
    assert (usual_batch(pair), longest_batch(pair)) == (1024, 2048)
    groups = [
        {"prompt": "How many?", "responses": ["Some."] * k, "rewards": list(range(k))}
        for k in (2, 5, 2)
    ]
    data = tmp_path / "groups.jsonl"
    data.write_text("\n".join(map(json.dumps, groups)))
    mine = config("objective=grpo", "dataset=jsonl", f"dataset.path={data}")
    assert (usual_batch(mine), longest_batch(mine)) == (5 * 512, 5 * 1024), "the largest group's"
    data.unlink()
    assert longest_batch(mine) == 2048, "the point says that its file is gone, not its estimate"


def test_one_gpu_of_many_is_used_unless_layers_are_spread() -> None:
    four = Hardware("cuda", "A100", 80, gpus=4)
    assert capacity_gb(config("model=llama3_8b").model, four) == 80
    assert capacity_gb(config("model=llama3.1_70b").model, four) == 320, "model.device_map=auto"


def test_weights_in_4_bits_take_an_eighth_and_are_not_recommended_again() -> None:
    one, bits = Hardware("cuda", "A100", 80), ("model=llama3_8b", "model.quantization=nf4")
    whole, small = (peak_memory(config(*given), one, 512) for given in (bits[:1], bits))
    assert whole
    assert small
    assert small.weights == pytest.approx(whole.weights * 4.5 / 32)
    assert any("nf4" in way for way in smaller(config(*bits[:1]), one, 512))
    assert not any("nf4" in way for way in smaller(config(*bits), one, 512))
