"""The sentences: one recipe per kind of frame, each a list of steps in the order in which they are done."""
