"""Small tables of physics: lamp lines, stellar lines, telluric intervals. Each names its unit and its source."""

from nrespipe.data.lamp import lamp_lines as lamp_lines
