"""`model.placement=fsdp` is no part of what a point is, and says with what it cannot be."""

from __future__ import annotations

import pytest

from gradsweep import compose
from gradsweep.config import ModelPlacement
from gradsweep.errors import ConfigError
from gradsweep.identity import point_id

FSDP = "model.placement=fsdp"


def test_it_is_no_part_of_what_a_point_is() -> None:
    config = compose(FSDP)
    assert config.model.placement is ModelPlacement.fsdp
    assert point_id(config) == point_id(compose())


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        (["model.device_map=auto"], r"model\.device_map=null"),
        (["model=llama3.1_70b"], r"model\.device_map=null"),
        (["model=llama3_8b", "model.quantization=nf4"], r"model\.quantization=none"),
        (["model.dtype=float16"], r"float32 and bfloat16"),
        (["training=full"], r"training=full.*model\.placement=null"),
        (["gradients.heads=true", "gradients.attention_shares=true"], r"attention_shares.*leave"),
        (["gradients.device=cuda:1"], r"gradients\.device=auto"),
        (
            ["model.projections.layers=a", "model.projections.q=b", "gradients.projections=[q]"],
            r"model\.projections.*device_map=auto",
        ),
    ],
)
def test_what_shards_cannot_do_is_refused_with_what_to_type(given: list[str], answer: str) -> None:
    with pytest.raises(ConfigError, match=rf"model\.placement=fsdp.*{answer}"):
        compose(*given, FSDP)
