"""Forebay: the event-driven platform you run yourself, on AWS's own wire protocols."""

__version__ = "0.1.0"
