"""Simulated nights of raw frames whose truth is known, for the demo, the tests and the figures of the manual.

Conventions of the truth
------------------------
- Column 0.0 is the middle of the first pixel. The *position* of a wavelength is the first moment of its image: the
  line-spread function is placed so that its centroid, not its peak, falls on the column that `bench.position` returns.
  A Gaussian that is fitted to a skewed line therefore lies to one side of it, as in real frames.
- Fluxes are noise-free detected electrons summed across the trace, pixel by pixel.
- A star's velocity is barycentric: the wavelength of a line on the detector is
  ``rest * (1 + rv / c) / (1 + berv / c)`` with ``berv`` from `barycenter`.
"""
