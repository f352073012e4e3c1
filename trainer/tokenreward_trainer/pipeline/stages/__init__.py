"""The stages of the loop, one a module: `options` is what a stage's outputs depend on, `run` does its work.

What is heavy to import (torch, matplotlib) is imported when a stage runs, so that a recipe is checked at once.
"""
