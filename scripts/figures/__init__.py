"""The figures of `scripts/benchmark.py`, a module a subject."""
