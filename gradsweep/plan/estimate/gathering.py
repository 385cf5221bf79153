"""How long weights that are shared out take to come together (`model.placement=fsdp`).

A pass gathers every layer twice, forward and backward, the next one while this one computes: a
pass takes as long as the slower of both. A rank receives what the others have, inside a node as
fast as its GPU's link, between nodes as fast as a node's adapter.
"""

from __future__ import annotations

from gradsweep.config import Config
from gradsweep.models.footprint import weight_kind, weights_gb
from gradsweep.models.parameters import parameters_of
from gradsweep.plan.estimate.hardware import ASSUMED_GPU, Hardware, known_gpu

LINK_GB = {
    "V100": 150.0,
    "A100": 300.0,
    "H100": 450.0,
    "H200": 450.0,
    "B200": 900.0,
}
"""Vendors' peak of one GPU's NVLink in GB/s, one way; GPUs without it have `PCIE_GB`."""
PCIE_GB = 32.0
"""Sixteen lanes of PCIe 4."""
ADAPTER_GB = 50.0
"""Assumed of a node: 400 Gbit/s."""
UTILISATION = 0.6
"""Assumed share of these peaks; no such gather has been timed on GPUs."""
GLOO_GB = 0.3
"""Reached between two processes on one machine's CPUs."""
GATHERS = 2
"""Of a pass. Checkpointing repeats a layer while its weights are there."""


def ranks_of(config: Config, hardware: Hardware) -> int:
    """Return how many processes share out a point's weights; 1 where each has all of them."""
    return hardware.ranks if config.model.placement else 1


def gathering_gb(hardware: Hardware) -> float:
    """Return GB/s at which a rank receives weights."""
    if hardware.kind == "cpu":
        return GLOO_GB
    peak = LINK_GB.get(known_gpu(hardware.name) or ASSUMED_GPU, PCIE_GB)
    if hardware.nodes > 1:
        # What other nodes have comes in once, and goes on to the node's ranks over their links.
        of_others = (1 - 1 / hardware.nodes) / (1 - 1 / hardware.ranks)
        peak = min(peak, ADAPTER_GB / of_others)
    return UTILISATION * peak


def gathering_seconds(config: Config, hardware: Hardware) -> float:
    """Return the seconds that the gathers of one pass take; 0 where no weights are shared out, or
    their number is unknown."""
    ranks, parameters = ranks_of(config, hardware), parameters_of(config.model)
    if ranks == 1 or parameters is None:
        return 0.0
    received = weights_gb(parameters, weight_kind(config.model)) * (1 - 1 / ranks)
    return GATHERS * received / gathering_gb(hardware)
