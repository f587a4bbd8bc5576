"""One recipe for each kind of frame: the steps of its reduction in their order, and how a master is made of it."""

from nrespipe.frames.raw import Kind
from nrespipe.recipes import arc, bias, dark, flat, science

#: The recipe of each kind of frame, in the order in which a night is reduced.
RECIPES = {Kind.BIAS: bias, Kind.DARK: dark, Kind.FLAT: flat, Kind.ARC: arc, Kind.SCIENCE: science}
