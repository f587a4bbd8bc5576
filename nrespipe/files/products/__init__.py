"""The products of a science frame, in the EPRV data standard."""
