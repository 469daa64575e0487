"""lessons/ → notebooks/."""
