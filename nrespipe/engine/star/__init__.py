"""Type, rotation, temperature and activity of a star, from its spectrum."""
