"""Objectives, one a file: each reports a lower bound on log p(x) and says what to maximize."""
