"""Where the metrics of a run go besides metrics.jsonl, one place a file."""

from vae_jax.config.extras import needs, require_installed
from vae_jax.trackers._tracked import Tracked, Tracker, remembered

__all__ = ["Tracked", "Tracker", "needs", "remembered", "require_installed"]
