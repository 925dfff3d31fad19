"""Image filters on NumPy arrays."""

from . import filters

__all__ = ["filters"]
