"""Estimators of log p(x), one a file."""
