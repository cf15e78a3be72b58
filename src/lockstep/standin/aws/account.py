"""The account: what exists, what names what, and therefore what cannot be made or deleted.

An entry is a resource as it was last put. What it names is worked out when it is put, so that asking who
names a resource is one look at each entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from lockstep.errors import LockstepError
from lockstep.standin.aws.behaviour import Behaviour, table
from lockstep.standin.aws.within import first, places
from lockstep.standin.kept import Entries
from lockstep.standin.wire import UNKNOWN, Values

BUCKET = "aws:s3/bucket:Bucket"
CONTENT = "content "
"""Before a bucket's or repository's name: what lies in it, {"objects": 3, "locked": true}."""


@dataclass(frozen=True)
class Resource:
    """token: its type; region: empty for what belongs to the whole account; names: what it is named by."""

    token: str
    region: str
    id: str
    urn: str
    inputs: Values
    outputs: Values
    names: list[str] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        return f"{self.token}/{self.region}/{self.id}"

    def __str__(self) -> str:
        return f"{self.token} {self.id}"


class Account:
    """What exists, for as long as the entries are open. number: whose it is."""

    def __init__(self, entries: Entries, number: str = "") -> None:
        self._entries = entries
        self.number = number or table().account

    def __iter__(self) -> Iterator[Resource]:
        return (Resource(**value) for key, value in self._entries if not key.startswith(CONTENT))

    def get(self, token: str, region: str, identity: str) -> Resource | None:
        value = self._entries.get(f"{token}/{region}/{identity}")
        return None if value is None else Resource(**value)

    def put(self, resource: Resource) -> None:
        behaviour = table().of(resource.token)
        named = {str(resource.outputs.get(key)) for key in ("arn", behaviour.name.get("property", "name"))}
        holds = [
            f"{reference.target} {value}"
            for reference in behaviour.references
            if reference.holds
            for _, value in places(resource.outputs, reference.path)
        ]
        kept = {**asdict(resource), "names": sorted(named | {resource.id}), "holds": sorted(set(holds))}
        self._entries.put(resource.key, kept)

    def drop(self, resource: Resource) -> None:
        self._entries.drop(resource.key)

    def find(self, token: str, region: str, named: str) -> Resource | None:
        """The resource of a type that an identity, ARN or name means, seen from a region."""
        if found := self.get(token, region, named):
            return found
        anywhere = named.startswith("arn:") or token == BUCKET or table().of(token).everywhere
        for resource in self:
            if (
                resource.token == token
                and named in resource.names
                and (anywhere or resource.region == region)
            ):
                return resource
        return None

    def require_references(self, resource: Resource) -> None:
        """Refuse a resource that names one which is not there."""
        for reference in table().of(resource.token).references:
            for where, value in places(resource.inputs, reference.path):
                if not reference.must_exist or value is UNKNOWN or value == "":
                    continue
                if self.find(reference.target, resource.region, str(value)) is None:
                    raise LockstepError(
                        f"{resource.token}: {where} names {value!r}, and there is no such {reference.target}",
                        code=table().of(reference.target).missing,
                        remedy="declare it, or pass its output, so that it is made before this",
                    )

    def require_unique(self, resource: Resource, behaviour: Behaviour) -> None:
        """Refuse a second resource of a name that there can be only once."""
        if not behaviour.unique or resource.outputs.get("allowOverwrite") is True:
            return
        value = _unique(resource, behaviour)
        for other in self:
            same = other.token == resource.token and (
                other.region == resource.region or resource.token == BUCKET
            )
            if same and _unique(other, behaviour) == value:
                raise LockstepError(
                    f"{resource.token}: {behaviour.unique} {value} is taken by {other.id}",
                    code=behaviour.exists,
                    remedy="choose another name, or import what is there",
                )

    def require_free(self, resource: Resource) -> None:
        """Refuse to delete what something still needs, what is protected, and what holds something."""
        behaviour = table().of(resource.token)
        for path, code in behaviour.protected.items():
            if resource.outputs.get(path) is True:
                raise _refusal(resource, f"{path} is true", code, f"set {path} to false first")
        wanted = {f"{resource.token} {name}" for name in resource.names}
        for other in self:
            near = other.region == resource.region or behaviour.everywhere or resource.token == BUCKET
            if near and not wanted.isdisjoint(other.holds) and not _goes_too(resource, other):
                raise _refusal(resource, f"{other} needs it", behaviour.held, "delete that first")
        self._require_empty(resource, behaviour)

    def _require_empty(self, resource: Resource, behaviour: Behaviour) -> None:
        content = self._entries.get(CONTENT + resource.id) or {}
        forced = resource.outputs.get("forceDestroy") or resource.outputs.get("forceDelete")
        if content.get("objects") and forced and content.get("locked"):
            raise _refusal(
                resource,
                "its objects are locked in COMPLIANCE mode until their retention ends",
                "AccessDenied",
                "keep it: set retain_on_delete, and adopt it later",
            )
        if content.get("objects") and not forced:
            raise _refusal(
                resource, f"it holds {content['objects']} objects", behaviour.held, "empty it first"
            )

    def fill(self, name: str, *, objects: int, locked: bool = False) -> None:
        """Say what lies in a bucket or repository, which no resource does."""
        self._entries.put(CONTENT + name, {"objects": objects, "locked": locked} if objects else None)


def _goes_too(resource: Resource, other: Resource) -> bool:
    """What a forced deletion takes along: the objects of a bucket, the records of a zone."""
    kind = other.token.rsplit(":", 1)[-1]
    return resource.outputs.get("forceDestroy") is True and kind in ("BucketObjectv2", "Record")


def _unique(resource: Resource, behaviour: Behaviour) -> str:
    return " ".join(str(first(resource.outputs, path)) for path in behaviour.unique.split("+"))


def _refusal(resource: Resource, why: str, code: str, remedy: str) -> LockstepError:
    return LockstepError(f"{resource} cannot be deleted: {why}", code=code, remedy=remedy)
