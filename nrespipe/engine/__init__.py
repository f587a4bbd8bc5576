"""The steps of the reduction, in the order in which light meets them; no input or output, no state."""
