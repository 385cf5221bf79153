"""What points run on, as far as time and memory depend on it. Planning needs no torch or driver."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradsweep.cores import usable_cores
from gradsweep.ranks import Rank, this_rank

if TYPE_CHECKING:
    import torch

PEAK_TFLOPS = {
    "V100": (15.7, 125.0),
    "A10": (31.2, 125.0),
    "A100": (19.5, 312.0),
    "L4": (30.3, 121.0),
    "L40": (90.5, 181.0),
    "L40S": (91.6, 362.0),
    "RTX 4090": (82.6, 165.0),
    "H100": (67.0, 989.0),
    "H200": (67.0, 989.0),
    "B200": (80.0, 2250.0),
}
"""Vendors' peak of one GPU in 10¹² FLOP/s: float32 (torch's default keeps to full precision) and
16 bits (dense, on tensor cores). A part of the driver's name finds it."""
ASSUMED_GPU = "A100"
"""Where a profile does not name its GPU, or names one that is not in the table."""
CPU_TFLOPS_PER_CORE = 0.06
"""Reached, not peak, in every dtype: SmolLM2 and 8B shapes on an AMD EPYC (docs/benchmarks.md)."""
UTILISATION = 0.4
"""Share of a GPU's peak that a pass over a batch reaches: on an H100, 44 % with 2,000 tokens of
Llama-3-8B in bfloat16, a fifth with 500 (docs/benchmarks.md)."""


@dataclass(frozen=True)
class Hardware:
    """What one job has for itself."""

    kind: str
    """`cuda` or `cpu`, as torch calls it."""
    name: str | None = None
    """The device's name or a part of it; None is unknown, as a cluster's CPU is."""
    memory_gb: float | None = None
    """Of one GPU, or of the host for a CPU, in GB (10⁹ bytes); None is unknown."""
    gpus: int = 0
    cores: int | None = None
    sharers: int = 1
    """Processes of equal parts on this machine; `memory_gb` is the part of one."""
    host_gb: float | None = None
    """Memory of a GPU's host, through which weights come; None is unknown or enough."""
    ranks: int = 1
    """Processes of a job, which share out the weights with `model.placement=fsdp`."""
    nodes: int = 1
    """On which these are."""

    def flops(self, dtype: str) -> float:
        """FLOP/s that a pass is expected to reach."""
        if self.kind == "cpu":
            return CPU_TFLOPS_PER_CORE * 1e12 * (self.cores or 1)
        single, half = PEAK_TFLOPS[known_gpu(self.name) or ASSUMED_GPU]
        return UTILISATION * 1e12 * (single if dtype == "float32" else half)


def known_gpu(name: str | None) -> str | None:
    """The entry of `PEAK_TFLOPS` that a GPU's name contains: "NVIDIA A100-SXM4-80GB" is A100."""
    words = re.split(r"[\s\-_]+", (name or "").upper())
    text = f" {' '.join(words)} "
    return next((known for known in PEAK_TFLOPS if f" {known} " in text), None)


def this_machine(device: str = "auto") -> Hardware:
    """Find what `gradients.device` means here: the first GPU that a driver shows, or the CPU.

    Under torchrun or srun, what one of its processes has.
    """
    gpu, ranks = _gpu_name(), _ranks()
    if device != "cpu" and gpu:
        return Hardware("cuda", gpu, gpus=1, cores=usable_cores(), ranks=ranks)
    return Hardware("cpu", cpu_name(), _host_memory_gb(), cores=usable_cores(), ranks=ranks)


def hardware_under(device: torch.device) -> Hardware:
    """The hardware of a running model, named so that it compares with a profile's `Hardware`."""
    import torch  # is there already: only a process with a model has a device to ask about

    cores, ranks = torch.get_num_threads(), _ranks()
    if device.type == "cuda":
        return Hardware(
            "cuda", torch.cuda.get_device_name(device), gpus=1, cores=cores, ranks=ranks
        )
    return Hardware("cpu", cpu_name(), cores=cores, ranks=ranks)


def _ranks() -> int:
    return (this_rank() or Rank()).count


def cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.M)
    return found[1].strip() if found else platform.processor() or platform.machine()


def _gpu_name() -> str | None:
    """Of the first NVIDIA device, from what its driver leaves in /proc."""
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        if found := re.search(r"^Model:\s*(.+)$", path.read_text(encoding="utf-8"), re.M):
            return found[1].strip()
    return None


CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container finds the most memory that it may use, in bytes; "max" is no limit."""


def _host_memory_gb() -> float | None:
    """The machine's memory, or a container's share of it where that is less."""
    meminfo = Path("/proc/meminfo")
    text = meminfo.read_text(encoding="utf-8") if meminfo.exists() else ""
    found = re.search(r"^MemTotal:\s*(\d+) kB$", text, re.M)
    limits = [Path(file).read_text() for file in CONTAINER_LIMITS if Path(file).is_file()]
    sizes = [int(limit) for limit in limits if limit.strip().isdigit()]
    sizes += [int(found[1]) * 1024] if found else []
    return min(sizes) / 1e9 if sizes else None
