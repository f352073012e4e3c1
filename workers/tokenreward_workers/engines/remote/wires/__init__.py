"""One module for each wire that endpoints are asked over."""
