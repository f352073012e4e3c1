"""A worker's process: how it starts, answers doorbells, reports, is watched over and ends."""
