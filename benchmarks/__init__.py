"""Benchmarks and demos, each a script: `python benchmarks/NAME.py`. A leading underscore marks what they share."""
