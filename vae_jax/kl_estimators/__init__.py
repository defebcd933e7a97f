"""Sampled estimators of KL(q || p), one a file."""
