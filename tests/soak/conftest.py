"""Soak tests use the checkouts of the end-to-end tests."""

from tests.e2e.conftest import built, checkout, image

__all__ = ["built", "checkout", "image"]
