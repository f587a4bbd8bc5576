"""Whether new masters, and the frames that they are made of, are fit for use."""
