"""Training: settings, where pairs and models come from, the Trainer with its references and metrics, and one run."""
