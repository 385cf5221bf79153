"""Jobs after they were submitted: where every point is, what was printed, once more, no more.

    tasks.py     submissions + queue -> tasks          logs.py     what the job of a point printed
    points.py    manifests, folders -> known points    retry.py    submit again what is not done
    overview.py  both + parts -> lines and totals      cancel.py   end what waits or runs
    table.py     lines -> a table                      follow.py   the table, live
    choice.py    words -> which points

Everything is read from the files. The queue is a hint: where it does not answer, the files alone
tell, and the table says so. Nothing here imports torch.
"""
