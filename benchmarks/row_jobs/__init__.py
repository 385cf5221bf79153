"""The jobs that `benchmarks.same_rows` runs on each side: measure one part, write its tables.

A job is a process of its own with one side's `gradsweep` on the path, which may be an older one.
So the jobs use public names only, and whatever else they need (tiny models, material beside the
checkout) comes from where they lie themselves: the same for both sides.
"""
