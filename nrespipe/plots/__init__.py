"""Drawings of what was measured; each function takes types of ``frames`` and returns figures."""
