"""HTTPRoute filters as Envoy's: rewrite, mirror, header changes. Pure; refuses what it does not know."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lockstep.errors import LockstepError, UsageError

Backends = Mapping[str, tuple[str, int]]
Json = dict[str, Any]


def add_filter(one: Json, prefix: str, backends: Backends, at: str, forward: Json, modifiers: Json) -> None:
    """Add one HTTPRoute filter to the forward action or to the route's header changes."""
    kind = one.get("type")
    if kind == "URLRewrite":
        only(one, {"type", "urlRewrite"}, at)
        forward |= _rewrite(one["urlRewrite"], prefix, f"{at}.urlRewrite")
    elif kind == "RequestMirror":
        only(one, {"type", "requestMirror"}, at)
        forward.setdefault("request_mirror_policies", []).append(
            _mirror(one["requestMirror"], backends, f"{at}.requestMirror")
        )
    elif kind in ("RequestHeaderModifier", "ResponseHeaderModifier"):
        field = f"{kind[0].lower()}{kind[1:]}"
        only(one, {"type", field}, at)
        side = "request" if kind.startswith("Request") else "response"
        for key, value in _headers(one[field], side, f"{at}.{field}").items():
            modifiers[key] = modifiers.get(key, []) + value
    else:
        raise unsupported(f"{at}.type", kind)


def check_filters(rule: Json, at: str) -> None:
    """Refuse what the API refuses of a rule's filters together: a filter twice (a mirror may be), and a
    prefix to replace where not just one prefix is matched."""
    kinds = [one.get("type") for one in rule.get("filters", [])]
    for number, kind in enumerate(kinds):
        if kind != "RequestMirror" and kind in kinds[:number]:
            raise unsupported(f"{at}.filters[{number}].type", f"{kind} a second time")
    paths = [match.get("path", {}).get("type") for match in rule.get("matches") or [{}]]
    if "URLRewrite" in kinds and (len(paths) > 1 or "Exact" in paths):
        raise unsupported(
            f"{at}.filters[{kinds.index('URLRewrite')}]", "URLRewrite but for one PathPrefix match"
        )


def _rewrite(rewrite: Json, prefix: str, at: str) -> Json:
    only(rewrite, {"path"}, at)
    path = rewrite["path"]
    only(path, {"type", "replacePrefixMatch"}, f"{at}.path")
    if path.get("type") != "ReplacePrefixMatch":
        raise unsupported(f"{at}.path.type", path.get("type"))
    new, bare = str(path["replacePrefixMatch"]).rstrip("/"), prefix.rstrip("/")
    if new:
        # What Envoy replaces of the prefix "/" is the slash that has to stand before the rest.
        return {"prefix_rewrite": new if bare else f"{new}/"}
    # A plain prefix rewrite to "/" would make "//" of what follows (envoyproxy/envoy issue 26055).
    pattern = "^" + re.escape(bare) + "/*"
    return {"regex_rewrite": {"pattern": {"regex": pattern}, "substitution": "/"}}


def _mirror(mirror: Json, backends: Backends, at: str) -> Json:
    only(mirror, {"backendRef", "percent"}, at)
    name = mirror["backendRef"]["name"]
    if name not in backends:
        raise no_backend(name, at)
    # Without it Envoy would add "-shadow" to the copy's Host, and the service would see another request.
    policy: Json = {"cluster": name, "disable_shadow_host_suffix_append": True}
    if "percent" in mirror:
        percent = mirror["percent"]
        if not isinstance(percent, int) or isinstance(percent, bool) or not 0 <= percent <= 100:
            raise unsupported(f"{at}.percent", percent)
        policy["runtime_fraction"] = {"default_value": {"numerator": percent}}
    return policy


def _headers(change: Json, side: str, at: str) -> Json:
    only(change, {"set", "add", "remove"}, at)
    actions = {"set": "OVERWRITE_IF_EXISTS_OR_ADD", "add": "APPEND_IF_EXISTS_OR_ADD"}
    named = [header["name"] for key in actions for header in change.get(key, [])]
    once_each([*named, *change.get("remove", [])], at)
    added = [
        {"header": {"key": header["name"], "value": header["value"]}, "append_action": action}
        for key, action in actions.items()
        for header in change.get(key, [])
    ]
    result: Json = {f"{side}_headers_to_add": added} if added else {}
    if change.get("remove"):
        result[f"{side}_headers_to_remove"] = list(change["remove"])
    return result


def once_each(headers: Sequence[str], at: str) -> None:
    """Refuse a header that is named twice, in whatever case: the API has one action or condition for each."""
    lower = [name.lower() for name in headers]
    for name in headers:
        if lower.count(name.lower()) > 1:
            raise unsupported(at, f"{name} a second time")


def only(value: Json, known: set[str], at: str) -> None:
    for key in value:
        if key not in known:
            raise unsupported(f"{at}.{key}".lstrip("."), value[key])


def unsupported(at: str, value: object) -> UsageError:
    return UsageError(
        f"{at}: {value!r} is not something that the local gateway can do",
        code="route.unsupported",
        remedy="remove it from the route; nothing was changed",
    )


def no_backend(name: str, at: str) -> LockstepError:
    return LockstepError(
        f"{at}: no service {name} is declared, and the route would send traffic to it",
        code="route.no_backend",
        remedy="bring the service up first, or give its share to the other slot",
    )
