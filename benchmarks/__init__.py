"""Ratios, measured within one run: `make bench`, or `python -m benchmarks single`."""
