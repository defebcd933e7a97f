"""Posteriors q(z | x), one a file."""
