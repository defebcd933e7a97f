"""The commands, one a file: `flags(flags)` declares its flags, `run(args)` does its work."""
