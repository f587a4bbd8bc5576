"""Acceptance of new masters, and of the frames that they are made of."""
