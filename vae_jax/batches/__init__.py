"""The way of examples to the device: splits, keys, windows, exact passes."""
