"""The densities that NumPyro lacks, one a file."""
