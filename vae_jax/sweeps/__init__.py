"""Many runs: their plan and execution, then their results and comparison."""
