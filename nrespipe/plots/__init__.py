"""Drawings of what was measured; each function takes nouns and returns a figure."""
