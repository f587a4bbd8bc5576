"""The types: frozen dataclasses that hold read-only arrays."""
