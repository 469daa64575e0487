"""The lessons in a real JupyterLab."""
