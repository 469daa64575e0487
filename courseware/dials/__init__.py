"""Dials: controls above a picture that follows them."""

from courseware.dials.dial import explore
from courseware.dials.live import LiveRuns
from courseware.dials.picture import as_html

__all__ = ["LiveRuns", "as_html", "explore"]
