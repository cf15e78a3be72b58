"""Identities, ARNs and names: the same for the same resource of the same stack, on every machine.

All of it is made from the resource's URN. A resource that replaces another, while that one still exists,
is a new generation and gets other ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from lockstep.standin.aws.behaviour import Behaviour
from lockstep.standin.aws.within import first
from lockstep.standin.wire import UNKNOWN, Values

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
SUFFIX = 7  # characters of an automatic name's suffix, as the real provider's
LONGEST = 255
SHORT = {"network": "net", "application": "app", "gateway": "gwy"}
REWORDED: dict[str, Callable[[str], str]] = {
    "short": lambda kind: SHORT.get(kind, kind),
    "listener": lambda arn: arn.replace(":loadbalancer/", ":listener/"),
}
Lookup = Callable[[str, Any], Any]
"""(property of the reference, its value) -> the outputs of the resource that it names, or None."""


@dataclass(frozen=True)
class Identity:
    """What a template is filled from, besides the resource's own properties."""

    urn: str
    account: str
    region: str
    generation: int = 0

    @property
    def partition(self) -> str:
        parts = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
        return next((name for start, name in parts.items() if self.region.startswith(start)), "aws")

    def fill(self, template: Any, values: Mapping[str, Any], lookup: Lookup) -> Any:
        """A template of any depth, filled. UNKNOWN where a property that it names is."""
        if isinstance(template, dict):
            return {key: self.fill(item, values, lookup) for key, item in template.items()}
        if isinstance(template, list):
            return [self.fill(item, values, lookup) for item in template]
        if not isinstance(template, str):
            return template
        parts = [self._word(word, values, lookup) for word in re.findall(r"\{([^{}]+)\}", template)]
        if any(part is UNKNOWN for part in parts):
            return UNKNOWN
        if len(parts) == 1 and re.fullmatch(r"\{[^{}]+\}", template):
            return parts[0]
        rest = iter(parts)
        return re.sub(r"\{[^{}]+\}", lambda _: str(next(rest)), template)

    def _word(self, word: str, values: Mapping[str, Any], lookup: Lookup) -> Any:
        if word in ("account", "region", "partition"):
            return getattr(self, word)
        kind, _, label = word.partition(":")
        if kind in ("hex", "HEX", "upper", "uuid", "octet"):
            return self._made(kind, label)
        if label in REWORDED:
            found = first(values, kind)
            return found if found is UNKNOWN else REWORDED[label](str(found or ""))
        path, _, output = word.partition(">")
        found = first(values, path)
        if output and found is not None:
            referred = UNKNOWN if found is UNKNOWN else lookup(path, found)
            found = referred if referred is UNKNOWN else (referred or {}).get(output)
        return "" if found is None else found

    def _made(self, kind: str, label: str) -> str:
        size, _, label = label.partition(":") if label[:1].isdigit() else ("0", "", label)
        digest = self.digest(label)
        if kind == "uuid":
            return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
        if kind == "octet":
            return str(int(digest[:4], 16) % 254 + 1)
        if kind == "upper":
            number = int(digest, 16)
            return "".join(LETTERS[number // 36**place % 36] for place in range(int(size)))
        return digest[: int(size)].upper() if kind == "HEX" else digest[: int(size)]

    def digest(self, label: str) -> str:
        return sha256(f"{self.urn}#{self.generation}#{label}".encode()).hexdigest()


def automatic_name(behaviour: Behaviour, identity: Identity, name: str) -> str:
    """`<name>-<7 hex digits>`, as the real provider names what the program does not."""
    rule = behaviour.name
    stem = name.lower() if rule.get("lower") else name
    longest = int(rule.get("longest", LONGEST)) - SUFFIX - 1
    return f"{rule.get('before', '')}{stem[:longest]}-{identity.digest('name')[:SUFFIX]}"


def id_and_arn(behaviour: Behaviour, identity: Identity, values: Values, lookup: Lookup) -> tuple[str, str]:
    """Identity and ARN, whichever of them the other is made from first."""
    id_template, arn = behaviour.id or "{name}", behaviour.arn
    if "{arn}" in id_template:
        filled = str(identity.fill(arn, values, lookup))
        return str(identity.fill(id_template, {**values, "arn": filled}, lookup)), filled
    made = str(identity.fill(id_template, values, lookup)) or identity.digest("id")[:17]
    return made, str(identity.fill(arn, {**values, "id": made}, lookup))
