"""Which masters a night gets, and whether each is accepted."""
