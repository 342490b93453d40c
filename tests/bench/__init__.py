"""Benchmarks against the sqlite3 module, side by side in one run."""
