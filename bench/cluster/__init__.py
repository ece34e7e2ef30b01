"""Running the same cohorts as jobs of a Slurm cluster."""
