"""Reduction service for the NRES échelle spectrographs of Las Cumbres Observatory.

The functions for a notebook are these; each is loaded when it is first used:

* `read`: a raw frame, a master, a template or a product from its file;
* `measure_velocity`: the radial velocity of a spectrum of any spectrograph, from arrays;
* `solve_wavelengths`: the wavelengths of an extracted spectrum of a thorium-argon lamp, from arrays;
* `star_series`: the velocities of a star over all nights of an output directory.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

__version__ = version("nrespipe")

__all__ = ["__version__", "measure_velocity", "read", "solve_wavelengths", "star_series"]

if TYPE_CHECKING:
    from nrespipe.analysis.series import read as star_series
    from nrespipe.engine.velocity.velocity_of_arrays import velocity as measure_velocity
    from nrespipe.engine.wavelength.solution_of_arrays import solve as solve_wavelengths
    from nrespipe.files.any_file import read
else:
    _PLACES = {
        "measure_velocity": ("nrespipe.engine.velocity.velocity_of_arrays", "velocity"),
        "read": ("nrespipe.files.any_file", "read"),
        "solve_wavelengths": ("nrespipe.engine.wavelength.solution_of_arrays", "solve"),
        "star_series": ("nrespipe.analysis.series", "read"),
    }

    def __getattr__(name):
        # at the first use: the command line must start without numpy and the compiler of the kernels
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, attribute = _PLACES[name]
        globals()[name] = getattr(import_module(module), attribute)
        return globals()[name]

    def __dir__():
        return sorted([*globals(), *_PLACES])
