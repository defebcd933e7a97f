"""Estimators of log p(x), and of what the KL in its bound consists of, one a file."""
