"""Every frame with its state and history, the masters, the products, the velocities."""
