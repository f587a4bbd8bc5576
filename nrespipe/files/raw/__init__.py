"""Raw composite data products: what they are by name and header, and their pixels and tables."""
