"""Commands that reduce many frames and end."""
