"""Lockstep: what decides and remembers. No file in this package declares infrastructure."""

__version__ = "0.1.0"
