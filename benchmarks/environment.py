"""The machine that measured: device, cores, threads, versions and how busy it was."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from gradsweep.cores import usable_cores
from gradsweep.versions import versions

_PACKAGES = ("gradsweep", "git_commit", "torch", "transformers")


def environment() -> dict[str, str]:
    """Describe the machine, by label; nothing names the host or its user."""
    installed = versions()
    return {
        "device": device_name(),
        "cores": f"{usable_cores()} usable, {torch.get_num_threads()} torch threads",
        "Python": platform.python_version(),
    } | {name: installed[name] for name in _PACKAGES if name in installed}


def device_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU: {_cpu_model()}"


def load_average() -> str:
    """Return how many processes asked for a core during the last minute, "unknown" elsewhere.

    Above the number of cores, times are inflated.
    """
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
