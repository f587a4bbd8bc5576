"""What operators look at: status, health, the summary of a night, the database as a whole."""
