"""The evaluation of a run: from its parameters to numbers with their errors."""
