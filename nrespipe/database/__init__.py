"""What is known of every frame: its state and its history, the masters, the products, the velocities."""
