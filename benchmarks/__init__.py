"""What melstream measures; every script prints a table and writes it to `benchmarks/results/`."""
