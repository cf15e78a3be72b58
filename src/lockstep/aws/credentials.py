"""The AWS credentials of this process, found where every AWS tool finds them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from lockstep.audit.sigv4 import Credentials
from lockstep.errors import Unavailable, UsageError


@dataclass
class Chain:
    """Credentials for requests to one region, as they are at each call: those of a session are renewed.

    The environment's come first, as botocore has it; then profiles, single sign-on, web identity, and the
    role of the container or machine.
    """

    region: str
    _found: Any = field(default=None, init=False, repr=False)

    def __call__(self) -> Credentials:
        """Raises UsageError `aws.no_credentials`, Unavailable `aws.credentials_failed`."""
        said = os.environ
        access, secret = said.get("AWS_ACCESS_KEY_ID", ""), said.get("AWS_SECRET_ACCESS_KEY", "")
        if access and secret:
            return Credentials(access, secret, self.region, said.get("AWS_SESSION_TOKEN", ""))
        return self._asked()

    def _asked(self) -> Credentials:
        import botocore.session
        from botocore.exceptions import BotoCoreError

        try:
            if self._found is None:
                self._found = botocore.session.Session().get_credentials()
            if self._found is None:
                raise _missing()
            now = self._found.get_frozen_credentials()
        except BotoCoreError as error:
            raise Unavailable(
                f"the AWS credentials cannot be had: {type(error).__name__}",
                code="aws.credentials_failed",
                remedy="see AWS_PROFILE and ~/.aws/config; `aws sso login` renews a sign-on",
            ) from None
        return Credentials(now.access_key, now.secret_key, self.region, now.token or "")


def _missing() -> UsageError:
    return UsageError(
        "there are no AWS credentials: not in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, in no profile "
        "(AWS_PROFILE), and this machine has no role",
        code="aws.no_credentials",
        remedy="set one of them; `./lockstep preview <stack> --offline` needs none",
    )
