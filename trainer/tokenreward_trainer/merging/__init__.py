"""Adapters become whole models, which engines, samplers and further trainings take."""
