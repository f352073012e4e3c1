"""The client's commands, one module each with `main(argv) -> int`, whose result is the exit code."""
