"""The state of every point and its job, as lines, a table and totals."""
