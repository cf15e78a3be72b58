"""Releases: immutable, content-addressed bundles of a model. Named by the digest of their OCI manifest."""
