"""From the image to a spectrum of each order and fiber."""
