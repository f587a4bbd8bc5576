"""From a message or a file to a row of the database."""
