"""KL(q || p) of two distributions that are named."""
