"""Peak memory of one method above the loaded model, in a process of its own.

`python -m benchmarks.memory CASE METHOD` prints it as JSON, in bytes. A new process rather than
a fork: OpenMP's threads do not survive one, and the allocator keeps what an earlier method freed.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.cases import ALL, Workload
from benchmarks.methods import METHODS
from gradsweep.engine.schedule import default_workers, return_free_memory

_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""Makes Linux start VmHWM again from the present resident size (man proc_pid_clear_refs)."""


def peak_in_own_process(case: str, method: str) -> int | None:
    """Return the peak of a case and method in bytes, or None where the system does not tell.

    Raises:
        RuntimeError: the process failed; its last words are the message.
    """
    command = [sys.executable, "-m", "benchmarks.memory", case, method]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        raise RuntimeError(f"memory of {method} on {case}: {answer.stderr.strip()[-500:]}")
    peak: int | None = json.loads(answer.stdout.splitlines()[-1])
    return peak


def peak_above_model(workload: Workload, method: str) -> int | None:
    """Run the method once, after a forward pass has touched every weight; return its peak in bytes.

    It runs on as many batches as gradsweep holds at a time; the other methods hold one of them.
    None where the system does not tell.
    """
    batches = workload.batches[: default_workers(workload.model)]
    with torch.no_grad():
        workload.model(input_ids=batches[0].input_ids[:1, :8])
    if torch.cuda.is_available():
        return _peak_on_cuda(workload, method)
    if not _CLEAR_REFS.exists():
        return None
    gc.collect()
    return_free_memory()  # freed blocks, in which the method's first tensors would hide
    _CLEAR_REFS.write_text(_RESET_PEAK)
    before = _status_bytes("VmRSS")
    METHODS[method](workload.model, batches)
    return max(_status_bytes("VmHWM") - before, 0)


def _peak_on_cuda(workload: Workload, method: str) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    METHODS[method](workload.model, workload.batches[:1])
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def _status_bytes(key: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(peak_above_model(ALL[sys.argv[1]].build(), sys.argv[2])))
