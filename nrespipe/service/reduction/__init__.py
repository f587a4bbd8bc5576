"""One frame or one master: read its inputs, run its recipe, write its files and rows."""
