"""The few S3 XML answers that the audit bucket needs, read with a bare expat: no DTD, no entities."""

from __future__ import annotations

from datetime import datetime
from xml.parsers import expat

from lockstep.audit.bucket import Version, from_text
from lockstep.errors import Unavailable

Element = tuple[str, str, list["Element"]]  # name, text, children
MAX_DEPTH = 8


def nonsense(why: str) -> Unavailable:
    return Unavailable(
        f"the audit bucket answered nonsense: {why}",
        code="audit.bucket_nonsense",
        remedy="is another program listening on the bucket's port? `./lockstep doctor` shows the ports",
    )


class _Reader:
    """Builds (name, text, children) and refuses declarations that could expand or reach outside."""

    def __init__(self) -> None:
        self.root: list[Element] = []
        self.children: list[list[Element]] = [self.root]
        self.texts: list[list[str]] = [[]]

    def start(self, _name: str, _attributes: dict[str, str]) -> None:
        if len(self.children) > MAX_DEPTH:
            raise nonsense("XML nested too deep")
        self.children.append([])
        self.texts.append([])

    def end(self, name: str) -> None:
        text, below = "".join(self.texts.pop()), self.children.pop()
        self.children[-1].append((name.rpartition(":")[2], text, below))

    def data(self, text: str) -> None:
        self.texts[-1].append(text)

    def refuse(self, *_: object) -> None:
        raise nonsense("XML with a document type")


def parse(data: bytes) -> Element:
    """The root element. Raises Unavailable `audit.bucket_nonsense`."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise nonsense(f"XML: {error}") from None
    return reader.root[0]


def child(element: Element, name: str) -> str:
    """The text of the first child of that name; "" without one."""
    return next((text for found, text, _ in element[2] if found == name), "")


def version_page(data: bytes) -> tuple[list[Version], tuple[str, str] | None]:
    """The versions on one page of ListObjectVersions, and the markers of the next page if there is one."""
    root = parse(data)
    if root[0] not in ("ListVersionsResult", "ListObjectVersionsResult"):
        raise nonsense(f"{root[0]} instead of a list of versions")
    found = []
    for element in root[2]:
        if element[0] in ("Version", "DeleteMarker"):
            size = child(element, "Size")
            found.append(
                Version(
                    key=child(element, "Key"),
                    version_id=child(element, "VersionId") or "null",
                    is_latest=child(element, "IsLatest") == "true",
                    delete_marker=element[0] == "DeleteMarker",
                    size=_number(size),
                    written=moment(child(element, "LastModified")),
                )
            )
    more = child(root, "IsTruncated") == "true"
    return found, (child(root, "NextKeyMarker"), child(root, "NextVersionIdMarker")) if more else None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0


def moment(text: str) -> datetime | None:
    """A time in an answer; None for "". Raises Unavailable `audit.bucket_nonsense`."""
    try:
        return from_text(text) if text else None
    except ValueError:
        raise nonsense(f"{text[:40]!r} instead of a time") from None


def error_code(data: bytes) -> str:
    """The code in an S3 error body; "" when there is none."""
    if not data.lstrip().startswith(b"<"):
        return ""
    root = parse(data)
    return child(root, "Code") if root[0] == "Error" else ""


def retention(mode: str, until: str) -> bytes:
    return f"<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>".encode()
