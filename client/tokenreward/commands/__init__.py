"""The client's commands, one module each with `main(argv) -> int`."""
