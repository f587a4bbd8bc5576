"""Small tables of physics: lamp lines, stellar lines, telluric intervals. Each names its unit and its source."""
