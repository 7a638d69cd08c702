"""Measures the service beside the design that everybody copies; `python3 dev.py bench` runs it."""
