"""KL(q || p) by every way there is: of two named distributions, and of a trained model."""
