"""A second opinion: what moto, a model of AWS behind boto3, says to the same call.

moto knows rules about values that no type tells (policy documents, lifecycle rules, record sets) and answers
with AWS's own codes. It forgets everything with its process, so what an earlier run has left in the account
is made again before the first call of a later one. Its object locks can be weakened, deletion protection does
not protect, and of what holds a network it knows only some: for these the account has the word.

Only tests ask it: LOCKSTEP_STANDIN_MOTO names the folder that moto is installed in, with the versions of
requirements-moto.txt. What it is asked is in moto_requests.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from lockstep.errors import LockstepError
from lockstep.standin.aws.account import Account, Resource
from lockstep.standin.aws.behaviour import table
from lockstep.standin.aws.within import places

if TYPE_CHECKING:
    from lockstep.standin.aws.moto_requests import Request

FOLDER_VARIABLE = "LOCKSTEP_STANDIN_MOTO"
ANYWHERE = "us-east-1"
"""Where boto3 asks for what belongs to no region."""


def judge() -> MotoJudge | None:
    """The judge, where a test has asked for it."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return MotoJudge(folder) if folder else None


class MotoJudge:
    """Not safe to share between threads: ask while the account is open.

    Each method raises LockstepError with the code that moto gives, and says nothing of types that it is not
    asked about.
    """

    def __init__(self, folder: str) -> None:
        if folder not in sys.path:
            sys.path.append(folder)
        # moto takes any, and boto3 wants some.
        os.environ.update(AWS_ACCESS_KEY_ID="moto", AWS_SECRET_ACCESS_KEY="moto")
        # What somebody's profile says must not lead past moto.
        for name in [each for each in os.environ if each.startswith("AWS_ENDPOINT_URL")]:
            del os.environ[name]
        os.environ["MOTO_ACCOUNT_ID"] = table().account
        os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
        from moto import mock_aws

        mock_aws().start()
        self._made: set[str] = set()
        self._names: dict[str, str] = {}
        self._caught_up = False

    def create(self, account: Account, resource: Resource) -> None:
        """Make it in moto too."""
        self._catch_up(account)
        self._make(account, resource)

    def update(self, account: Account, resource: Resource) -> None:
        """Change it there, where a call of its own does that."""
        from lockstep.standin.aws.moto_requests import UPDATES

        self._catch_up(account)
        if request := UPDATES.get(resource.token):
            self._ask(account, resource, request)

    def delete(self, account: Account, resource: Resource) -> None:
        """Delete it there, which fails while something depends on it."""
        from lockstep.standin.aws.moto_requests import DELETES

        self._catch_up(account)
        if request := DELETES.get(resource.token):
            self._ask(account, resource, request)
        self._made.discard(resource.key)

    def _catch_up(self, account: Account) -> None:
        """Once a process: make what is there."""
        if self._caught_up:
            return
        self._caught_up = True
        for resource in account:
            if resource.key not in self._made:
                self._make(account, resource)

    def _make(self, account: Account, resource: Resource) -> None:
        from lockstep.standin.aws.moto_requests import CREATES

        if request := CREATES.get(resource.token):
            self._made.add(resource.key)
            if named := self._ask(account, resource, request):
                self._names[resource.id] = named

    def _ask(self, account: Account, resource: Resource, request: Request) -> str | None:
        """Put a request, after what the resource names is there: one that was changed since it was made may
        name what is younger than itself."""
        from botocore.exceptions import ClientError, ParamValidationError

        from lockstep.standin.aws.moto_requests import Ask

        for reference in table().of(resource.token).references:
            for _, value in places(resource.outputs, reference.path):
                found = account.find(reference.target, resource.region, str(value)) if value else None
                if found is not None and found.key not in self._made:
                    self._make(account, found)
        region = resource.region or ANYWHERE
        ask = Ask(
            self._names.get(resource.id, resource.id),
            self._named(resource.outputs),
            resource.outputs,
            lambda service: _client(service, region),
            _hold,
            self._names,
        )
        try:
            return request(ask)
        except ClientError as error:
            said = error.response["Error"]
            raise _refusal(resource, said.get("Message", ""), said["Code"]) from None
        except ParamValidationError as error:
            raise _refusal(resource, str(error), "ValidationException") from None

    def _named(self, value: Any) -> Any:
        """A value with what moto calls each thing that it names."""
        if isinstance(value, Mapping):
            return {key: self._named(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._named(item) for item in value]
        return self._names.get(value, value) if isinstance(value, str) else value


def _hold(service: str, operation: str, **parameters: Any) -> None:
    """Hold a call against AWS's own description of it, which botocore ships."""
    from botocore.exceptions import ParamValidationError
    from botocore.validate import ParamValidator

    from lockstep.standin.aws.moto_requests import given

    client = _client(service, ANYWHERE)
    name = client.meta.method_to_api_mapping[operation]
    shape = client.meta.service_model.operation_model(name).input_shape
    report = ParamValidator().validate(given(parameters), shape)
    if report.has_errors():
        raise ParamValidationError(report=report.generate_report())


@cache
def _client(service: str, region: str) -> Any:
    import boto3

    return boto3.client(service, region_name=region)


def _refusal(resource: Resource, said: str, code: str) -> LockstepError:
    return LockstepError(f"{resource}: moto: {said}", code=code, remedy="see what AWS says of this value")
