"""The data sets of the course."""

from course_utils.datasets.flowers import load_flowers
from course_utils.datasets.image_folder import write_image_folder

__all__ = ["load_flowers", "write_image_folder"]
