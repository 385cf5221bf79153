"""Points as jobs: submit them and run them. What becomes of them later is in gradsweep.jobs.

    submit.py    plan -> tasks -> frozen files -> scheduler      job.py      what a job does
    records.py   what is written about submissions and runs      slurm.py    sbatch and squeue
    tasks.py     which points share a job and an array           local.py    processes here

The Hydra side is launchers/hydra_plugins. Nothing here imports torch but a running job.
"""
