"""Those that train the same model: a file each, found by itself.

`loss(setting, x, keys, noise)`, its loss on our weights, nats per example, is held against ours, so
that the same model is timed; `training(setting)` is a call that makes the setting's steps; and, where
it estimates log p(x), `evaluations(setting, x, k)` are calls that return its mean over x, nats.
"""
