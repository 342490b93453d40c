"""Runs Django's own test suite on the backend, and compares what comes out with what is expected."""
