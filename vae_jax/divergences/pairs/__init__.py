"""Closed forms that NumPyro lacks, one pair or family of pairs a file."""
