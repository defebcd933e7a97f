"""The training of a config: from its parts to a trained run."""
