"""Master calibrations in the database: what each was made of, and which one serves a frame."""
