"""What the reduced frames say together: series, zero points, templates, tables and reports; no queue, no work."""
