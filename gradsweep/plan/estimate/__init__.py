"""What points will take before they run: memory, time, disk. Never imports torch (but `running`).

peak_memory(config, hardware, tokens) GB: weights, activations, the rest
seconds_per_sample(config, …, costs)  from earlier points' `Cost`, else a stated model
point_bytes(config, …, costs)         on disk
"""

from gradsweep.plan.estimate.cost import Cost, Meter, read_costs
from gradsweep.plan.estimate.disk import point_bytes
from gradsweep.plan.estimate.duration import Basis, Duration, seconds_per_sample
from gradsweep.plan.estimate.hardware import Hardware, this_machine
from gradsweep.plan.estimate.memory import (
    Memory,
    capacity_gb,
    fits,
    longest_batch,
    peak_memory,
    smaller,
    usual_batch,
)
from gradsweep.plan.estimate.tokens import Tokens, tokens_per_sample
from gradsweep.plan.estimate.wall_clock import makespan

__all__ = [
    "Basis",
    "Cost",
    "Duration",
    "Hardware",
    "Memory",
    "Meter",
    "Tokens",
    "capacity_gb",
    "fits",
    "longest_batch",
    "makespan",
    "peak_memory",
    "point_bytes",
    "read_costs",
    "seconds_per_sample",
    "smaller",
    "this_machine",
    "tokens_per_sample",
    "usual_batch",
]
