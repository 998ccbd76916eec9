"""Benchmarks: rootlessnet beside the programs it is compared with. Not installed."""
