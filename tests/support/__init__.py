"""What several test modules need, and no benchmark: staged servers, tiny models, jobs with known results."""
