"""For operators: status, health, the summary of a night, the database as a whole."""
