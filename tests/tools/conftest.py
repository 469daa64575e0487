"""The fixtures of the tiny house."""

from tests.tools.tiny_house import fresh_venv, furnished, house

__all__ = ["fresh_venv", "furnished", "house"]
