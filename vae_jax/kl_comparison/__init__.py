"""KL(q || p) in closed form against its sampled estimate: values and gradients."""
