"""The questions and exercises of the course, read from YAML."""
