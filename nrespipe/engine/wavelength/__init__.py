"""From the lines of the lamp to a wavelength of every pixel."""
