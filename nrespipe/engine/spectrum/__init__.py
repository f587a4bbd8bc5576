"""Continuum, line lists and cross-correlation of an extracted spectrum."""
