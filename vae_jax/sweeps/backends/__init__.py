"""Where the runs of a sweep are trained and evaluated, one backend a file (`units.Backend`)."""
