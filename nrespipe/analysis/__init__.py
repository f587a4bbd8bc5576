"""Results of many reduced frames: series, zero points, templates, tables and reports; no queue, no work."""
