"""Servers and directories of others: the archive that frames come from, and those that products go to."""
