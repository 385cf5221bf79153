"""Points as jobs: submit them, run them, and know from files and the queue where they are.

    submit.py    plan -> tasks -> frozen files -> scheduler      job.py      what a job does
    records.py   what is written about submissions and runs      slurm.py    sbatch and squeue
    tasks.py     which points share a job and an array           local.py    processes here

The Hydra side is launchers/hydra_plugins. Nothing here imports torch but a running job.
"""
