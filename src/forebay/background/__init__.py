"""Background duties: the `Worker` contract and the `Supervisor` that runs all workers of a node in one task group."""
