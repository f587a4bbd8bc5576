"""Reduction service for the NRES échelle spectrographs of Las Cumbres Observatory."""

from importlib.metadata import version

__version__ = version("nrespipe")
