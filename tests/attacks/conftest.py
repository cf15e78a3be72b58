"""Stores of both kinds for the tests here."""

from tests.support.store_fixtures import gateway, place, s3

__all__ = ["gateway", "place", "s3"]
