"""The stand-in for the provider `aws`: typed by the real SDK, ruled by a kept table, without an account."""
