"""Invertible transforms that NumPyro lacks, one a file, and the network inside them."""
