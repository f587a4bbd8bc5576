"""The radial velocity of a star, with its error."""
