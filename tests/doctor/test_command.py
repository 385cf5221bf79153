"""`doctor` as a user meets it: a sound point, planted failures, stored points, mistakes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.stored_points import fail_point, store_point
from transformers import PreTrainedTokenizerBase

from gradsweep import compose, extract
from gradsweep.cli import main
from gradsweep.models.load import LoadedModel, load_model
from gradsweep.records import Axes

Captured = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("wide_terminal")


@pytest.fixture
def tiny(saved_model: Path) -> list[str]:
    model = ["model=folder", f"model.source.path={saved_model}", "model.name=tiny"]
    return [*model, "tracking=none", "n_samples=2"]


def line_of(text: str, name: str) -> str:
    """The line of the check of this name, from its state on."""
    return next(line for line in text.splitlines() if name in line[:40])


def test_overrides_are_tried_and_nothing_is_stored(
    tiny: list[str], capsys: Captured, tmp_path: Path
) -> None:
    assert main(["doctor", *tiny, "cot=detailed"]) == 0
    shown = capsys.readouterr().out
    for name in ("samples", "BOS token", "response mask", "projections", "gradient norms",
                 "spectra", "irrelevant responses", "CoT levels", "truncation"):  # fmt: skip
        assert line_of(shown, name).startswith("ok"), shown
    assert "measuring q k v o in 2 layers" in shown
    # A random model is no better than a guess, and there is nothing stored to compare with.
    assert line_of(shown, "loss").startswith("warning")
    assert line_of(shown, "conditions").startswith("not checked")
    assert list(tmp_path.iterdir()) == []


def test_the_example_marks_the_response(tiny: list[str], capsys: Captured, tmp_path: Path) -> None:
    data = tmp_path / "mine.jsonl"
    lines = [{"prompt": f"What is {i}?", "responses": {"none": f"Number {i}."}} for i in range(3)]
    data.write_text("".join(json.dumps(line) + "\n" for line in lines))
    mine = ["dataset=jsonl", f"dataset.path={data}", "dataset.shuffle=false"]
    assert main(["doctor", *tiny, *mine]) == 0
    assert "What is 0?↵\n⟦Number 0.⟧\n" in capsys.readouterr().out


def test_an_irrelevant_file_with_the_correct_responses_is_a_problem(
    tiny: list[str], capsys: Captured, tmp_path: Path
) -> None:
    records = [{"instruction": f"{i} + 1?", "input": "", "output": str(i + 1)} for i in range(9)]
    for folder in ("cot_500", "cot_500_wrong_answer_shuffle"):
        for path in compose("dataset=gsm8k", "dataset.root=x").dataset.files.values():
            file = tmp_path / "release" / path.replace("cot_500", folder)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(records))
    assert main(["doctor", *tiny, "dataset=gsm8k", f"dataset.root={tmp_path / 'release'}"]) == 1
    shown = capsys.readouterr().out
    assert line_of(shown, "irrelevant responses").startswith("problem")
    assert line_of(shown, "CoT levels").startswith("problem"), "all levels are one file"
    assert "2 problems" in shown.splitlines()[-1]


def test_a_layer_without_gradients_is_a_problem(
    tiny: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def masked(*args: Any) -> LoadedModel:
        loaded = load_model(*args)
        attention = loaded.model.get_submodule("model.layers.1.self_attn")
        attention.register_forward_hook(lambda module, inputs, out: (out[0] * 0, *out[1:]))
        return loaded

    monkeypatch.setattr("gradsweep.models.load.load_model", masked)
    assert main(["doctor", *tiny]) == 1
    line = line_of(capsys.readouterr().out, "projections")
    assert line.startswith("problem")
    assert "Q 1; K 1; V 1; O 1" in line


def with_mlp(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    """Every model is loaded with the output of one feed-forward part changed."""

    class Changed(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return change(self.inner(x))

    def changed(*args: Any) -> LoadedModel:
        loaded = load_model(*args)
        layer: Any = loaded.model.get_submodule("model.layers.1")
        layer.mlp = Changed(layer.mlp)
        return loaded

    monkeypatch.setattr("gradsweep.models.load.load_model", changed)


def test_samples_that_depend_on_each_other_are_a_warning(
    tiny: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["doctor", *tiny])
    assert line_of(capsys.readouterr().out, "independence of samples").startswith("ok")
    with_mlp(monkeypatch, lambda y: y + y.mean(dim=(0, 1)))
    main(["doctor", *tiny])
    line = line_of(capsys.readouterr().out, "independence of samples")
    assert line.startswith("warning")
    assert "depends on what else is in its batch" in line


def test_a_part_without_a_backward_is_a_problem(
    tiny: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_mlp(monkeypatch, lambda y: y.detach())
    assert main(["doctor", *tiny]) == 1
    line = line_of(capsys.readouterr().out, "projections")
    assert line.startswith("problem")
    assert "no gradient passes through model.layers.1.mlp" in line


def test_weights_that_are_no_numbers_are_a_problem(
    tiny: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> LoadedModel:
        loaded = load_model(*args)
        loaded.model.get_parameter("model.norm.weight").data.fill_(torch.nan)
        return loaded

    monkeypatch.setattr("gradsweep.models.load.load_model", broken)
    assert main(["doctor", *tiny]) == 1
    shown = capsys.readouterr().out
    assert line_of(shown, "loss").startswith("problem")
    assert "model.norm.weight (16 of 16 entries)" in " ".join(shown.split())


def test_a_tokenizer_that_doubles_bos_is_a_problem(
    capsys: Captured,
    tmp_path: Path,
    tiny: list[str],
    tiny_llama: Any,
    make_tokenizer: Callable[..., PreTrainedTokenizerBase],
) -> None:
    folder = tmp_path / "doubled"
    tiny_llama.save_pretrained(folder)
    make_tokenizer("<s> <s> $A").save_pretrained(folder)
    assert main(["doctor", *tiny, f"model.source.path={folder}"]) == 1
    assert line_of(capsys.readouterr().out, "BOS token").startswith("problem")


def test_a_stored_point_by_its_beginning_and_with_its_model(
    tiny: list[str], capsys: Captured
) -> None:
    point = extract(compose(*tiny, "cot=detailed"), show_progress=False).paths
    assert main(["doctor", point.point_id[:6]]) == 0
    shown = capsys.readouterr().out
    assert point.point_id in shown
    for name in ("samples", "projections", "spectra", "irrelevant responses", "CoT levels"):
        assert line_of(shown, name).startswith("ok"), shown
    assert f"doctor {point.point_id} --load" in line_of(shown, "response mask")
    assert main(["doctor", point.point_id, "--load"]) == 0
    assert line_of(capsys.readouterr().out, "response mask").startswith("ok")


def test_every_stored_point_shows_what_is_to_do(tiny: list[str], capsys: Captured) -> None:
    extract(compose(*tiny), show_progress=False)
    extract(compose(*tiny, "model.name=tiny_instruct", "seed=1"), show_progress=False)
    capsys.readouterr()
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "gets plain text → use model.prompt=chat" in shown
    assert "spectra" not in shown, "nothing to do there"
    assert shown.splitlines()[-1].startswith("doctor: 2 points: ")


@pytest.mark.long
def test_stored_points_are_checked_without_torch(tiny: list[str]) -> None:
    point = extract(compose(*tiny), show_progress=False).paths
    code = (
        "import sys; from gradsweep.cli import main; main(sys.argv[1:]); "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    asked = [sys.executable, "-c", code, "doctor", point.point_id]
    assert subprocess.run(asked, check=False, capture_output=True).returncode == 0


def test_data_that_are_gone_are_not_checked(
    tiny: list[str], capsys: Captured, tmp_path: Path
) -> None:
    data = tmp_path / "mine.jsonl"
    data.write_text('{"prompt": "2?", "responses": {"none": "two"}}\n' * 2)
    extract(compose(*tiny, "dataset=jsonl", f"dataset.path={data}"), show_progress=False)
    data.unlink()
    capsys.readouterr()
    main(["doctor", "results"])
    shown = capsys.readouterr().out
    assert line_of(shown, "irrelevant responses").startswith("not checked")
    assert "mine.jsonl" in line_of(shown, "irrelevant responses")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["-m", "cot=none,detailed"], ["one point", "-m"]),
        (["cot=none,detailed"], ["grid of 2 points", "overrides of one point"]),
        (["cot=none", "0123"], ["not both"]),
        (["model=gpt17"], ["gpt17", "smollm2_135m_instruct"]),
        (["0123"], ["no results in results"]),
        (["--load"], ["--load", "one stored point"]),
    ],
)
def test_a_mistake_is_one_clear_error(
    args: list[str], expected: list[str], capsys: Captured
) -> None:
    assert main(["doctor", *args]) == 1
    message = capsys.readouterr().err
    assert message.count("error:") == 1
    assert "Traceback" not in message
    for text in expected:
        assert text in message


def test_another_model_is_not_loaded_in_the_place_of_the_one_that_was_measured(
    saved_model: Path, capsys: Captured, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(saved_model, tmp_path / "last"))
    model = ["model=folder", f"model.source.path={folder}", "tracking=none", "n_samples=2"]
    point = extract(compose(*model, "cot=detailed"), show_progress=False).paths
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert main(["doctor", point.point_id, "--load"]) == 1
    told = capsys.readouterr().err
    assert f"(model.source.path={folder}) have changed since {point.point_id} was measured" in told


def test_a_point_that_failed_before_its_first_sample_is_one_problem(
    capsys: Captured, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    fail_point(results, "failed00", Axes("tiny", "sums", "detailed", "correct"))
    store_point(results, "done00", Axes("tiny", "sums", "none", "correct"), 1.0)
    assert main(["doctor", "failed00"]) == 1
    shown = capsys.readouterr().out
    why = "none is stored; it failed before its end; DataError: no such file"
    assert why in line_of(shown, "samples")
    assert "doctor: 1 problem" in shown
    assert main(["doctor"]) == 1
    assert "hooks" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ends", "status", "told"),
    [
        ("stopped", 0, "it was stopped before its end; checked is what is stored so far → run the"),
        ("failed", 1, "it failed before its end; DataError: no more disk; checked is"),
    ],
)
def test_a_point_with_a_part_of_its_samples_is_not_taken_for_whole(
    ends: str, status: int, told: str, capsys: Captured, tmp_path: Path
) -> None:
    results, axes = tmp_path / "results", Axes("tiny", "sums", "detailed", "correct")
    store_point(results, "part00", axes, 1.0, ends=ends)
    assert main(["doctor", "part00"]) == status
    assert told in " ".join(capsys.readouterr().out.split())
    store_point(results, "done00", Axes("tiny", "sums", "none", "correct"), 3.0)
    assert main(["doctor", "done00"]) == 0
    assert "finished" not in capsys.readouterr().out
