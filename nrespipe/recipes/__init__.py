"""The sentences: one recipe per kind of frame, each a list of steps in the order in which they are done."""

from nrespipe.frames.raw import Kind
from nrespipe.recipes import arc, bias, dark, flat, science

#: The recipe of each kind of frame, in the order in which a night is reduced.
RECIPES = {Kind.BIAS: bias, Kind.DARK: dark, Kind.FLAT: flat, Kind.ARC: arc, Kind.SCIENCE: science}
