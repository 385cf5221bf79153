"""`plan`: what a command line would do, and what it would take."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

EVERY_POINT = "--all"


def run(args: Sequence[str]) -> int:
    """usage: python -m gradsweep plan [-m] [--all] [--config-dir DIR] [axis=option,... ...]

    What the same command without `plan` would do, and what that would take. Nothing is started,
    no model is loaded, and the scheduler is not asked about jobs.

      points   run: new · stopped, failed: would go on · queued: in a job that has not ended ·
               running · done. Cells that the study does not have are listed with the reason.
               Training points have their steps and epochs, and the samples that pass through the
               model: trained on, and probed
      models   estimated peak memory against a GPU of the launcher's profile (✓ fits, ~ but for
               the longest samples, ✗ submitting would be refused); time, and what it
               rests on: earlier points in this results folder on the same kind of device, or a
               stated FLOP model
      jobs     with hydra/launcher=slurm… or local: arrays, jobs, options of sbatch
      totals   GPU-hours, wall clock, disk

    --all      every point, where a large grid is counted by dataset and cot

    examples
      python -m gradsweep plan -m model=qwen2_1.5b,llama3_8b cot=none,detailed dataset=gsm8k
      python -m gradsweep plan -m +experiment=paper_full hydra/launcher=slurm_a100
      python -m gradsweep plan -m +experiment=paper_full hydra/launcher=slurm_h100 \\
          model.dtype=bfloat16 hydra.launcher.array_parallelism=8

    A profile for your GPUs: hydra.launcher.gpu=L40S hydra.launcher.gpu_memory_gb=48
    """
    if {"-h", "--help"} & set(args):
        print(inspect.getdoc(run))
        return 0
    from gradsweep.cli.command_line import read_points
    from gradsweep.config.composition import checked
    from gradsweep.jobs.command import grid_launcher
    from gradsweep.jobs.queue import points_in_jobs
    from gradsweep.plan import checked_plan
    from gradsweep.plan.forecast import forecast, show_forecast
    from gradsweep.progress import output_console

    line = read_points([arg for arg in args if arg != EVERY_POINT], "plan")
    launcher = checked(lambda: grid_launcher(line.overrides, line.multirun, line.source))
    plan = checked_plan(line.overrides, line.multirun, line.source)
    scheduler = launcher.scheduler if launcher else None
    expected = forecast(plan, scheduler, points_in_jobs(Path(plan.results)))
    console = output_console()
    show_forecast(expected, console, every_point=EVERY_POINT in args)
    return 0
