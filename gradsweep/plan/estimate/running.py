"""The hardware under a running model. The one module here that imports torch: planning does not."""

from __future__ import annotations

import torch

from gradsweep.plan.estimate.hardware import Hardware, cpu_name


def hardware_under(device: torch.device) -> Hardware:
    """Named so that `Hardware` of a profile or of a machine without torch compares with it."""
    cores = torch.get_num_threads()
    if device.type == "cuda":
        return Hardware("cuda", torch.cuda.get_device_name(device), gpus=1, cores=cores)
    return Hardware("cpu", cpu_name(), cores=cores)
