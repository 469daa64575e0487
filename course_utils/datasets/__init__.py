"""The data sets of the course, and pictures of your own."""

from course_utils.datasets.flowers import load_flowers
from course_utils.datasets.folder import load_folder, load_splits
from course_utils.datasets.image_folder import write_image_folder

__all__ = ["load_flowers", "load_folder", "load_splits", "write_image_folder"]
