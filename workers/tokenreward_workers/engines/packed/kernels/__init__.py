"""The kernels that attend over a pack. Each has `attend(call, layout)`, which returns `[1, N, H, D]`."""
