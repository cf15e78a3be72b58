"""Objects before their API server: tried, applied, read, removed, in the words of the real provider."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from lockstep.errors import LockstepError
from lockstep.standin.kubernetes import controllers, definitions, objects, pods, status
from lockstep.standin.kubernetes.access import PREVIEW_NAMESPACES
from lockstep.standin.kubernetes.api import Answer, Api, Kind, Object, Refused, UnknownKind
from lockstep.standin.kubernetes.settings import Settings

ENFORCED = "pod-security.kubernetes.io/enforce"
FORCED = "pulumi.com/patchForce"
UNALLOWED = re.compile(r'is forbidden: User ".*" cannot \w+ resource')
"""How a server says that RBAC lets this user not do it; other plugins forbid in words of their own."""


class Judge:
    """One API server, as one provider resource uses it. region: the cluster's name; warn: (urn, text)."""

    def __init__(self, api: Api, settings: Settings, region: str, warn: Callable[[str, str], None]) -> None:
        self._api = api
        self._settings = settings
        self._region = region
        self._warn = warn
        self._foreseen: dict[str, str] = {}
        self._lock = Lock()

    def kind(self, version: str, kind: str) -> Kind | None:
        """None for a kind that the server does not know, perhaps only yet."""
        try:
            return self._api.kind(version, kind)
        except UnknownKind:
            return None

    def preview(self, urn: str, thing: Object, manager: str, *, new: bool) -> Object | None:
        """What the server would make of it; None, with a warning, where it cannot say yet.

        A namespace that this preview has only foreseen is not there: one of ours of the same Pod Security
        level is taken for it. `new`: whether it is to be created; then what has its name is another object,
        which will go before it, and must not be compared. Who may only look may not try either: a dry run
        takes the rights of the real thing, and the real provider then shows what is declared. Raises
        LockstepError for what the server refuses.
        """
        if thing["kind"] == "Namespace":
            self._foresee(thing)
        try:
            tried = self._placed(thing, new=new)
            if tried is None:
                return None
            live = self._send(urn, tried, manager, dry_run=True).document
        except UnknownKind as error:
            self._warn(urn, f"not validated: {error.message}; is its definition made by this update?")
            return None
        except LockstepError as error:
            if UNALLOWED.search(error.message):
                self._warn(urn, f"not validated: {error.message}")
                return None
            raise _told(urn, error, "created" if new else "updated") from error
        for key in ("name", "namespace"):
            if key in tried["metadata"]:
                live["metadata"][key] = thing["metadata"][key]
        live.pop("status", None)
        return live

    def create(self, urn: str, thing: Object, manager: str) -> Object:
        """Raises LockstepError in the real provider's words, for an object that is there already, too."""
        try:
            kind = self._api.kind(thing["apiVersion"], thing["kind"])
            there = self._get(kind, thing)
            if there is not None and not self._settings.upsert:
                raise Refused(
                    f'{kind.plural} "{thing["metadata"]["name"]}" already exists; set '
                    "upsertExistingObjects on the provider to adopt what is there",
                    status=409,
                    reason="AlreadyExists",
                )
            return self._applied(urn, thing, manager)
        except LockstepError as error:
            raise _told(urn, error, "created") from error

    def update(self, urn: str, thing: Object, manager: str) -> Object:
        try:
            return self._applied(urn, thing, manager)
        except LockstepError as error:
            raise _told(urn, error, "updated") from error

    def dry_run(self, thing: Object, manager: str) -> Object:
        """Of an object that is there. Raises Refused."""
        return self._api.apply(thing, manager, dry_run=True, force=True).document

    def read(self, version: str, kind: str, identity: str) -> Object | None:
        found = self.kind(version, kind)
        if found is None:
            return None
        namespace, name = objects.split_identity(identity)
        return self._api.get(found, namespace, name)

    def remove(self, version: str, kind: str, identity: str) -> None:
        """Raises LockstepError for what would never end."""
        found = self.kind(version, kind)
        if found is not None:
            controllers.remove(self._api, found, *objects.split_identity(identity))

    def require_no_orphans(self, chart: str, release: str) -> None:
        controllers.require_no_orphans(self._api, chart, release)

    def define(self, folders: Sequence[Path]) -> None:
        """Put definitions into the cluster; those that are there stay as they are."""
        definitions.install(self._api, folders)

    def has_namespace(self, name: str) -> bool:
        return self._api.get(self._api.kind("v1", "Namespace"), "", name) is not None

    def _applied(self, urn: str, thing: Object, manager: str) -> Object:
        sent = self._send(urn, thing, manager, dry_run=False).document
        kind = self._api.kind(thing["apiVersion"], thing["kind"])
        live = controllers.give_address(self._api, kind, status.report(self._api, kind, sent), self._region)
        if definitions.is_definition(thing):
            definitions.wait(self._api, thing)
        return live

    def _send(self, urn: str, thing: Object, manager: str, *, dry_run: bool) -> Answer:
        """A workload is tried, then its pod, and only then kept: one whose pods cannot be is not."""
        annotations = thing["metadata"].get("annotations") or {}
        force = self._settings.force or annotations.get(FORCED) == "true"
        pod = pods.pod_of(thing)
        answer = self._api.apply(thing, manager, dry_run=dry_run or pod is not None, force=force)
        if pod is not None:
            self._try_pod(thing, pod)
            if not dry_run:
                answer = self._api.apply(thing, manager, force=force)
        for text in answer.warnings:
            self._warn(urn, text)
        return answer

    def _try_pod(self, thing: Object, pod: Object) -> None:
        try:
            self._api.try_create(pod)
        except Refused as refusal:
            if refusal.reason == "NotFound":  # no such namespace: the workload itself is told so
                return
            raise Refused(
                f"pods of {thing['kind']} {thing['metadata']['name']} would be refused: {refusal.message}",
                status=refusal.status,
                reason=refusal.reason,
            ) from refusal

    def _foresee(self, namespace: Object) -> None:
        about = namespace["metadata"]
        level = (about.get("labels") or {}).get(ENFORCED, "privileged")
        with self._lock:
            self._foreseen[about["name"]] = level

    def _placed(self, thing: Object, *, new: bool) -> Object | None:
        """The object with a name and namespace under which a dry run can be made; None where none can."""
        kind = self._api.kind(thing["apiVersion"], thing["kind"])
        about = dict(thing["metadata"])
        if new and "name" in about and self._get(kind, thing) is not None:
            if definitions.is_definition(thing):  # its name is fixed by what it defines
                return None
            about["name"] = f"standin-preview-{about['name'][-40:].lstrip('-.')}"
        if kind.namespaced and not self.has_namespace(about["namespace"]):
            with self._lock:
                level = self._foreseen.get(about["namespace"], "privileged")
            about["namespace"] = PREVIEW_NAMESPACES.get(level, PREVIEW_NAMESPACES["privileged"])
        return {**thing, "metadata": about}

    def _get(self, kind: Kind, thing: Object) -> Any:
        about = thing["metadata"]
        return self._api.get(kind, about.get("namespace") or "", about["name"])


def _told(urn: str, error: LockstepError, what: str) -> LockstepError:
    """An error as the real provider words it, so that a reader finds it in the provider's own documents."""
    if isinstance(error, UnknownKind):
        message = (
            f'resource "{urn}" was not successfully {what}: the Kubernetes API server reported that the '
            f"apiVersion for this resource does not exist. Verify that any required CRDs have been created: "
            f"{error.message}"
        )
    else:
        message = (
            f'resource "{urn}" was not successfully {what} by the Kubernetes API server: {error.message}'
        )
    return LockstepError(message, code=error.code, remedy=error.remedy)
