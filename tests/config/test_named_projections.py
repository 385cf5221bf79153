"""`model.projections`: what may be typed."""

from __future__ import annotations

import pytest

from gradsweep import compose
from gradsweep.config import Config
from gradsweep.errors import ConfigError

LAYERS = "layers=model.layers"


def point(*fields: str, measured: str = "q") -> Config:
    named = [f"model.projections.{field}" for field in fields]
    return compose("dataset=arithmetic", *named, f"gradients.projections=[{measured}]")


def test_paths_and_columns_are_taken() -> None:
    config = point(LAYERS, "q=attn.0.query", 'k="attn.kv[0:16]"', measured="q,k")
    assert config.model.named_projections == {
        "layers": "model.layers",
        "q": "attn.0.query",
        "k": "attn.kv[0:16]",
    }
    assert point().model.named_projections == {}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (["q=attn.query"], "names q, and layers is needed too"),
        ([LAYERS], "names layers, and a projection, as q is needed too"),
        ([LAYERS, "q=attn..query"], r"model\.projections\.q=attn\.\.query: allowed is a dotted"),
        ([LAYERS, 'q="attn.q[9:3]"'], r"q=attn\.q\[9:3\]: allowed"),
        (['layers="model.layers[0:2]"', "q=attn.q"], r"layers=model\.layers\[0:2\]: allowed"),
        ([LAYERS, "v=attn.v"], r"no module for q; .*gradients\.projections=\[v\]"),
    ],
)
def test_what_is_wrong_is_said(fields: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        point(*fields)
