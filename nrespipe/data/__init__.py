"""Tables of lamp lines, stellar lines and telluric intervals, each with unit and source."""

from nrespipe.data.lamp import lamp_lines as lamp_lines
from nrespipe.data.lamp import line_lists as line_lists
from nrespipe.data.stellar import stellar_lines as stellar_lines
from nrespipe.data.stellar import stellar_types as stellar_types
from nrespipe.data.stellar import tellurics as tellurics
