"""What several tests share: tiny models, stored points and costs, grids on SLURM."""
