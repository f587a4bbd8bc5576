"""The nouns: frozen dataclasses that hold read-only arrays."""
