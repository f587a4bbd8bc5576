"""The database as a whole: connections, tables and their revisions, copies."""
