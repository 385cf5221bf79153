"""Where every point and its job stand, as lines, a table and totals."""
