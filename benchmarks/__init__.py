"""Each figure that the README quotes, as a command: python3 course.py bench NAME."""
