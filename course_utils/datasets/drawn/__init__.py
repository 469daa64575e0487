"""Flowers drawn by the course, for when photos cannot be had."""
