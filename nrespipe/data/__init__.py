"""Tables of lamp lines, stellar lines and telluric intervals, each with unit and source."""

from nrespipe.data.absorption_lines import SPARE_TYPES as SPARE_TYPES
from nrespipe.data.absorption_lines import stellar_lines as stellar_lines
from nrespipe.data.absorption_lines import stellar_types as stellar_types
from nrespipe.data.absorption_lines import tellurics as tellurics
from nrespipe.data.lamp import lamp_lines as lamp_lines
from nrespipe.data.lamp import line_lists as line_lists
