"""From counts to electrons: what the detector adds to the light, measured and corrected."""
