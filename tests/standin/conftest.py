"""Fixtures of the stand-ins' tests."""

from tests.support.standin_aws import aws, aws_in

__all__ = ["aws", "aws_in"]
