"""`python -m benchmarks.tracking`: what following a point in W&B costs extraction.

The same samples of SmolLM2-135M-Instruct are extracted with tracking none, offline and online,
taking turns; medians over rounds. Online needs a key and a route, for instance to the server of
the tests: `PYTHONPATH=tests python -m wandb_receiver python -m benchmarks.tracking`.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from dataclasses import dataclass
from statistics import median

from benchmarks.environment import environment, load_average
from gradsweep import compose, extract
from gradsweep.progress import step_bar
from gradsweep.tracking.tracker import THREAD_PREFIX

MODES = {
    "none": ["tracking=none"],
    "offline": ["tracking=wandb", "tracking.mode=offline"],
    "online": ["tracking=wandb", "tracking.mode=auto"],
}

WARM_UP = 2
"""Number of samples in the round that does not count."""


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.tracking", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=100)
    given = parser.parse_args()
    busy_before = load_average()
    times: dict[str, list[Timing]] = {mode: [] for mode in MODES}
    with step_bar() as progress:
        task = progress.add_task("points", total=len(MODES) * (given.rounds + 1))
        for number in range(given.rounds + 1):
            for mode in MODES:
                measured = _extracted(mode, given.samples if number else WARM_UP, number)
                if number:  # the first round loads the model and the client
                    times[mode].append(measured)
                progress.advance(task)
    print(_table(times, given.samples))
    for name, value in environment().items():
        print(f"- {name}: {value}")
    print(f"- load average: {busy_before} before, {load_average()} after (1 minute)")


@dataclass(frozen=True)
class Timing:
    """Seconds that one point took."""

    stored: float
    """Wall time until the results are stored."""
    uploaded: float
    """Wall time until everything is uploaded."""
    cpu: float
    """Time of this process's cores until then: other programs hardly disturb it."""


def _extracted(mode: str, samples: int, number: int) -> Timing:
    """Time one point in a new project: where the server has a point, nothing is logged again."""
    with tempfile.TemporaryDirectory() as root:
        config = compose(
            *("model=smollm2_135m_instruct", "cot=none", f"n_samples={samples}"),
            *(f"store.root={root}", f"tracking.project=round-{number}", *MODES[mode]),
        )
        began, cpu_began = time.perf_counter(), time.process_time()
        extract(config, show_progress=False)
        stored = time.perf_counter() - began
        for thread in threading.enumerate():
            if thread.name.startswith(THREAD_PREFIX):
                thread.join()
        return Timing(stored, time.perf_counter() - began, time.process_time() - cpu_began)


def _table(times: dict[str, list[Timing]], samples: int) -> str:
    """Write medians, and the fastest round, which other programs disturbed least."""
    lines = [
        f"| tracking | extraction of {samples} samples | fastest | CPU time | until uploaded |",
        "| --- | --- | --- | --- | --- |",
    ]
    for mode, rounds in times.items():
        stored, fastest = median(t.stored for t in rounds), min(t.stored for t in rounds)
        cpu, uploaded = median(t.cpu for t in rounds), median(t.uploaded for t in rounds)
        lines.append(
            f"| {mode} | {stored:.2f} s | {fastest:.2f} s | {cpu:.2f} s | {uploaded:.2f} s |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
