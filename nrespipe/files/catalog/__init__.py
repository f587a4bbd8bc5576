"""The catalog of stars: its lines, its defects, and which star a frame shows."""
