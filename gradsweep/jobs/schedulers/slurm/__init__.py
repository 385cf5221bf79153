"""SLURM job arrays.

settings.py   `hydra/launcher=slurm`      commands.py  sbatch, squeue, scancel, scontrol, sacct
scheduler.py  the scheduler               script.py    what is handed to sbatch
"""

from gradsweep.jobs.schedulers.slurm.scheduler import SlurmScheduler
from gradsweep.jobs.schedulers.slurm.settings import SlurmSettings

__all__ = ["SlurmScheduler", "SlurmSettings"]
