"""Points as jobs: submit them, run them, see where they stand, run them again, end them.

    submit.py    plan -> frozen files -> scheduler   run.py      a job, with signals.py and place.py
    frozen.py    the configs and code that jobs run  records.py  what is written of jobs
    tasks.py     a task with its runs                queue.py    where all tasks are
    choice.py    words -> which points               status/     every point and its job
    retry.py     submit again what is not done       cancel.py   end what waits or runs
    logs.py      what a job printed                  command.py  launchers on the command line
    schedulers/  one class each: SLURM, processes on this machine

Everything is read from the files. The queue is a hint: where it does not answer, the files alone
tell. The Hydra side is launchers/hydra_plugins. Nothing here imports torch but a running job.
"""
