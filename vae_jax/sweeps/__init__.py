"""Many runs: what varies and what is left to do before, results and their comparison after."""
