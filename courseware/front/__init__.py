"""What the widgets share in the browser, and how their files become one module."""
