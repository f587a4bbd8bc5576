"""What the spectrum says of the star: type, rotation, temperature, activity."""
