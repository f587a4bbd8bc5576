"""Where the orders lie on the detector."""
