"""The first start: an environment with all that the course needs."""
