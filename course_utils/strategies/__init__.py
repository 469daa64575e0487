"""Strategies of transfer learning compared: in a synthetic world, and on pictures."""
