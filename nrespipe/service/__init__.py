"""The work around a reduction: which frame is next, what it needs, what came of it."""
