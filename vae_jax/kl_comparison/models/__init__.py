"""KL(q(z|x) || p(z)) of a trained model."""
