"""Recovery of work that was lost: with a worker, with a doorbell, or to an item that takes its workers down."""
