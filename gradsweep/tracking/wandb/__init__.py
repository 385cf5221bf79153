"""Everything that is of Weights & Biases: runs, uploads, dashboards."""
