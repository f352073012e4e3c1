"""The HTTP API: one module a group of routes. A route reads the request, asks the floors below, and answers."""
