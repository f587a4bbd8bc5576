"""Files: raw frames, masters, products and tables, and where each lies."""
