"""What points will take before they run: memory, time, disk. Never imports torch.

peak_memory(config, hardware, tokens) GB: weights, activations, the rest
seconds_per_sample(config, …, costs)  from earlier points' `Cost`, else a stated model
point_bytes(config, …, costs)         on disk
"""

from gradsweep.plan.estimate.cost import Cost, CostsByPoint, Meter, point_bytes, read_costs
from gradsweep.plan.estimate.duration import Basis, Duration, makespan, seconds_per_sample
from gradsweep.plan.estimate.hardware import Hardware, hardware_under, this_machine
from gradsweep.plan.estimate.memory import (
    Memory,
    capacity_gb,
    fits,
    longest_batch,
    peak_memory,
    smaller,
    usual_batch,
)
from gradsweep.plan.estimate.tokens import Tokens, tokens_per_pass, tokens_per_sample

__all__ = [
    "Basis",
    "Cost",
    "CostsByPoint",
    "Duration",
    "Hardware",
    "Memory",
    "Meter",
    "Tokens",
    "capacity_gb",
    "fits",
    "hardware_under",
    "longest_batch",
    "makespan",
    "peak_memory",
    "point_bytes",
    "read_costs",
    "seconds_per_sample",
    "smaller",
    "this_machine",
    "tokens_per_pass",
    "tokens_per_sample",
    "usual_batch",
]
