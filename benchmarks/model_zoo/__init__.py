"""Small models and chat templates of the kinds that people have, and whether each is read as it should be."""
