"""What tests of several rooms share: tiny models and their gradients, stored points, readers of what
the product writes, folders, grids on SLURM."""
