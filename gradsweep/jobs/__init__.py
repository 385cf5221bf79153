"""Points as jobs: submit them, run them, see where they stand, run them again, end them.

    submit.py    plan -> tasks -> frozen files -> scheduler    run.py      what a job does
    grouping.py  which points share a job and an array         records.py  what is written of it
    tasks.py     submissions + queue -> tasks                  status/     every point and its job
    choice.py    words -> which points                         logs.py     what a job printed
    retry.py     submit again what is not done                 cancel.py   end what waits or runs
    schedulers/  SLURM, and processes on this machine

Everything is read from the files. The queue is a hint: where it does not answer, the files alone
tell. The Hydra side is launchers/hydra_plugins. Nothing here imports torch but a running job.
"""
