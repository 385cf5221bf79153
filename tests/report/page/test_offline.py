"""A page is written without downloads, and leaves the process as it was: online."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers.process_state import OFFLINE
from helpers.stored_points import store_point
from omegaconf import OmegaConf

from gradsweep import compose
from gradsweep.records import Axes

CODE = """
import os, sys
from pathlib import Path
{first}
from gradsweep.report.outliers import told_outliers
from gradsweep.report.page.points import report_points
from gradsweep.report.page.samples import samples_by_point
from gradsweep.store import load_rows
from gradsweep.store.selection import Selection

results = Path(sys.argv[1])
before = dict(os.environ)
rows = load_rows(results)
outliers = told_outliers(rows, None, "nuclear_norm")
(point,) = samples_by_point(report_points(Selection(results), rows), outliers).values()
print(point["without_text"])
assert dict(os.environ) == before
import huggingface_hub
from huggingface_hub import constants
assert constants.HF_HUB_OFFLINE is False
if "datasets" in sys.modules:
    assert sys.modules["datasets"].config.HF_HUB_OFFLINE is False
from gradsweep.models import hub
huggingface_hub.get_session().head = lambda *_, **__: print("asked the hub")
huggingface_hub.get_session = lambda session=huggingface_hub.get_session(): session
assert hub.answers()
"""


@pytest.fixture(params=["url", "hub"])
def results(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """One point on data that only a download would give."""
    axes = Axes("tiny", "gsm8k", "none", "correct")
    paths = store_point(tmp_path / "results", "0" * 16, axes, 1.0)
    source = {
        "url": ["dataset.source=url", "dataset.url=http://127.0.0.1:9"],
        "hub": ["dataset.source=hub", "dataset.hub=owner/nowhere"],
    }[request.param]
    config = compose("dataset=gsm8k", "cot=none", *source)
    record = yaml.safe_load(paths.config.read_text())
    record["config"] = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
    paths.config.write_text(yaml.safe_dump(record))
    return tmp_path / "results"


@pytest.mark.long
@pytest.mark.parametrize("first", ["", "import huggingface_hub"])
def test_the_page_leaves_the_hub_reachable(results: Path, tmp_path: Path, first: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in OFFLINE}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(first=first), str(results)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    why_no_text, asked = done.stdout.splitlines()
    assert "nothing is downloaded" in why_no_text or "offline" in why_no_text.lower()
    assert asked == "asked the hub"
