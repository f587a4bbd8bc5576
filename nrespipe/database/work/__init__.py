"""The way of a row from its announcement to its result, one module for each stage."""
