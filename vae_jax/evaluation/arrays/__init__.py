"""A run -> arrays with a row for each example, to be taken away; one kind a file.

A file holds a function of the file's name, which `vae-jax export --what` names and which
`import vae_jax` has. The names of its arrays say what they hold: those that begin with `x` are in
the units of x, `run.restore` gives those that were brought; those that begin with `z` are latents.
Draw k of example i depends on nothing but (seed, i, k): not on the batch size, not on the devices.
"""
