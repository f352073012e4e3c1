"""The report of a training run: curves, scatter plots and heat maps in one HTML page."""
