"""Named experiments: each composes, has the points it promises and obeys the command line."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from gradsweep.cli import main
from gradsweep.config import DatasetKind
from gradsweep.config.composition import compose_raw
from gradsweep.config.files import config_dir, options
from gradsweep.errors import ConfigError
from gradsweep.plan import Plan, make_plan
from gradsweep.plan.grid import cells, composed

PAPER_MODELS = {
    f"{model}{variant}"
    for model in ("qwen2_1.5b", "gemma2_2b", "llama3_8b", "gemma2_9b", "llama2_7b")
    for variant in ("", "_instruct")
}
LEVELS = {
    **dict.fromkeys(["aqua", "gsm8k", "strategyqa", "ecqa", "creak", "sensemaking"], 3),
    **dict.fromkeys(["math_algebra", "math_counting", "math_geometry"], 2),
    **dict.fromkeys([f"wiki_{kind}" for kind in ("popular_100", "popular_500")], 1),
    **dict.fromkeys([f"wiki_{kind}" for kind in ("popular_1000", "unpopular")], 1),
}
"""Dataset of the paper -> CoT levels that it has there (paper section 3)."""
MATH = {"aqua", "gsm8k", "math_algebra", "math_counting", "math_geometry"}
WIKI = {name for name in LEVELS if name.startswith("wiki")}


@pytest.fixture(scope="module")
def paper_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the layout of the paper's release, one question in each file."""
    root = tmp_path_factory.mktemp("paper")
    for path in (config_dir() / "dataset").glob("*.yaml"):
        if f"kind: {DatasetKind.paper.name}" not in path.read_text():
            continue
        for relative in re.findall(r"\S+\.json", path.read_text()):
            for end in ("highest", "lowest"):  # one file where there are no ends
                file = root / relative.replace("{quality}", end)
                file.parent.mkdir(exist_ok=True)
                text = f"It is {end}." if "{quality}" in relative else "Yes."
                file.write_text(json.dumps([{"instruction": "Is it?", "output": text}]))
    return root


@functools.cache
def plan(experiment: str, root: Path) -> Plan:
    text = (config_dir() / "experiment" / f"{experiment}.yaml").read_text()
    data = [f"dataset.root={root}"] if "dataset:" in text else []  # else the bundled data
    return make_plan([f"+experiment={experiment}", *data], multirun=True)


LARGEST = pytest.param("paper_full", marks=pytest.mark.long)
EXPERIMENTS = [LARGEST if name == "paper_full" else name for name in options("experiment")]


@pytest.mark.long
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_has_the_points_its_first_line_promises(
    experiment: str, paper_root: Path
) -> None:
    made = plan(experiment, paper_root)
    promised = re.search(r"(\d+) points\.$", options("experiment")[experiment])
    assert promised
    assert len(made.points) == int(promised[1])
    assert made.name == experiment


@pytest.mark.parametrize(
    ("experiment", "datasets"),
    [
        ("paper_math", MATH),
        ("paper_wiki", WIKI),
        ("paper_commonsense", set(LEVELS) - MATH - WIKI),
        pytest.param("paper_full", set(LEVELS), marks=pytest.mark.long),
    ],
)
def test_the_papers_grids_are_all_cells_that_the_paper_has(
    experiment: str, datasets: set[str], paper_root: Path
) -> None:
    made = plan(experiment, paper_root)
    found = Counter((p.axes.model, p.axes.dataset, p.axes.correctness) for p in made.points)
    assert found == {
        (model, dataset, correctness): LEVELS[dataset]
        for model in PAPER_MODELS
        for dataset in datasets
        for correctness in ("correct", "irrelevant")
    }
    assert {model.name for model in made.models} == PAPER_MODELS


@pytest.mark.long
def test_the_whole_grid_says_why_cells_are_left_out(paper_root: Path) -> None:
    made = plan("paper_full", paper_root)
    missing = {re.match(r"dataset=(\w+)", reason)[1] for reason in made.excluded}  # type: ignore[index]
    assert missing == {name for name, levels in LEVELS.items() if levels < 3}


@pytest.mark.long
def test_open_questions_are_asked_of_the_papers_data_in_one_command(paper_root: Path) -> None:
    datasets = ["gsm8k", "aqua", "strategyqa", *sorted(WIKI)]
    made = make_plan(
        [
            "+experiment=open_questions",
            f"dataset={','.join(datasets)}",
            f"dataset.root={paper_root}",
        ],
        multirun=True,
    )
    found = Counter(point.axes.dataset for point in made.points)
    assert found == {name: 2 if name in WIKI else 22 for name in datasets}


def test_first_look_is_three_comparisons(paper_root: Path) -> None:
    found = {
        (p.axes.model, p.axes.dataset, p.axes.cot) for p in plan("first_look", paper_root).points
    }
    assert found == {
        (f"qwen2_1.5b{variant}", *pair)
        for variant in ("", "_instruct")
        for pair in (("aqua", "none"), ("aqua", "detailed"), ("wiki_popular_100", "none"))
    }


def test_the_command_line_replaces_axes_and_sets_fields(saved_model: Path, tmp_path: Path) -> None:
    questions = tmp_path / "mine.jsonl"
    responses = {"none": "2", "detailed": "One and one are two. 2"}
    questions.write_text(json.dumps({"prompt": "1 + 1?", "responses": responses}))
    made = make_plan(
        [
            "+experiment=paper_math",
            "model=folder",
            f"model.source.path={saved_model}",
            "model.name=tiny",
            "dataset=arithmetic,jsonl",
            f"dataset.path={questions}",
            "cot=none,detailed",
            "n_samples=20",
            "sweep=mine",
        ],
        multirun=True,
    )
    assert made.name == "mine"
    assert {p.axes.model for p in made.points} == {"tiny"}
    assert {p.axes.dataset for p in made.points} == {"arithmetic", "mine"}, "by its file"
    assert {p.axes.correctness for p in made.points} == {"correct", "irrelevant"}
    assert len(made.points) == 8
    assert all("n_samples=20" in p.overrides for p in made.points)


@pytest.mark.long
@pytest.mark.usefixtures("wide_terminal")
def test_an_experiment_runs_as_it_was_planned(
    saved_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["-m", "+experiment=base_vs_instruct", "model=folder", "dataset=arithmetic"]
    line += [f"model.source.path={saved_model}", "n_samples=2", "tracking=none", "cot=none"]
    assert main(line) == 0
    manifest = json.loads(Path("results/sweeps/base_vs_instruct/manifest.json").read_text())
    assert [p["axes"]["correctness"] for p in manifest["points"]] == ["correct", "irrelevant"]
    for point in manifest["points"]:
        assert Path(f"results/points/{point['point_id']}/DONE").exists()
    capsys.readouterr()


def test_without_multirun_an_experiment_is_not_taken_for_one_point() -> None:
    with pytest.raises(ConfigError, match=r"\+experiment=first_look.*-m"):
        make_plan(["+experiment=first_look"], multirun=False)


GRIDS = [
    ["model=qwen3_0.6b,gemma3_1b", "cot=none,detailed", "model.dtype=float32,bfloat16"],
    ["seed=0,1", "dataset.shuffle=true,false", "sweep=a,b", "correctness=correct,irrelevant"],
    ["model.name=a,b", "cot=none", "model=hub", "model.source.hub_id=o/a,o/b"],
    ["cot=none"],
]


@pytest.mark.long
@pytest.mark.parametrize("overrides", GRIDS, ids=" ".join)
def test_a_grid_composed_from_parts_is_what_hydra_composes(overrides: list[str]) -> None:
    grid = cells(overrides)
    for cell, config in zip(grid, composed(grid), strict=True):
        assert config == compose_raw(cell)


def test_a_command_runs_one_experiment() -> None:
    """Of several, Hydra would run the defaults, not the grid of any."""
    for asked in (["+experiment=first_look,paper_wiki"], ["+experiment=first_look"] * 2):
        with pytest.raises(ConfigError, match="a command runs one experiment"):
            cells([*asked, "seed=0,1"])


@pytest.mark.long
def test_the_largest_plan_composes_each_value_once_and_imports_no_torch(
    paper_root: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from gradsweep.cli import main; from gradsweep.plan import grid;"
        "n = []; compose = grid.compose_raw;"
        "grid.compose_raw = lambda *a, **k: n.append(1) or compose(*a, **k);"
        "assert main(sys.argv[1:]) == 0;"
        "assert len(n) < 40, len(n);"
        "assert 'torch' not in sys.modules"
    )
    command = ["plan", "-m", "+experiment=paper_full", f"dataset.root={paper_root}"]
    answer = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, cwd=tmp_path
    )
    assert answer.returncode == 0, answer.stderr
    assert "560 points, 0 done, 560 to run" in answer.stdout
