"""Speed, measured side by side in one run, since machines are noisy: ratios, not seconds."""
