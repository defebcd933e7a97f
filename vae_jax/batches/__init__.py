"""How examples reach the device: splits, keys, windows, exact passes."""
