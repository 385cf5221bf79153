"""gradsweep's price beside the plain method's and a training step's, measured in one run.

`make bench`, or `python -m benchmarks --help`. See docs/benchmarks.md.
"""
