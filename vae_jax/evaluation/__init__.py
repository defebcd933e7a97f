"""From a run to its numbers."""
