"""`PYTHONPATH=tests python -m wandb_receiver COMMAND …`: a command that finds a W&B server here."""

from __future__ import annotations

import os
import subprocess
import sys

from wandb_receiver.receiver import Receiver

with Receiver() as receiver:
    done = subprocess.run(sys.argv[1:], env=os.environ | receiver.environment)
    for run in receiver.runs:
        print(f"{run.project}/{run.name} {run.state}: {len(run.history)} rows", file=sys.stderr)
sys.exit(done.returncode)
