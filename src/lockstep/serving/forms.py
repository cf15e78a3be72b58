"""One file out of a multipart body (RFC 7578). The body is whole and in memory; nothing goes to disk.

The usual reader walks hostile bodies byte by byte, and keeps a file in a temporary file: a request
could hold the event loop for seconds, or fail where no file can be opened. Here the boundary is looked
for at once, and parts and their headers are counted and short.
"""

from __future__ import annotations

from python_multipart.multipart import parse_options_header

from lockstep.serving.limits import Limits
from lockstep.serving.refusal import Refused

HEAD_BYTES = 8 * 1024
"""The headers of one part: its name, its file's name, a type."""
MAX_BOUNDARY = 70  # RFC 2046, section 5.1.1


def file_field(body: bytes, content_type: str, field: str, limits: Limits) -> bytes:
    """The content of the one part that is a file named `field`.

    Raises Refused (400): `serving.bad_form` for a body that is not well-formed, has too many parts or
    that part twice; `serving.no_image` where it has none.
    """
    delimiter = b"--" + _boundary(content_type)
    if body.startswith(delimiter):
        place = len(delimiter)
    else:
        found = body.find(b"\r\n" + delimiter)  # what stands before the first boundary is no part
        if found < 0:
            raise _bad("the boundary does not occur in it")
        place = found + 2 + len(delimiter)
    files: list[bytes] = []
    for _ in range(limits.form_parts):
        if body.startswith(b"--", place):
            return _only(files, field)
        start = _after_head(body, place)
        end = body.find(b"\r\n" + delimiter, start - 2)
        if end < 0:
            raise _bad("its end is missing")
        if _is_file(body[place : start - 2], field):
            files.append(body[start:end])
        place = end + 2 + len(delimiter)
    if body.startswith(b"--", place):
        return _only(files, field)
    raise _bad(f"it has over {limits.form_parts} parts")


def _bad(why: str) -> Refused:
    return Refused(f"the multipart body is malformed: {why}", code="serving.bad_form", status=400)


def _boundary(content_type: str) -> bytes:
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not 1 <= len(boundary) <= MAX_BOUNDARY:
        raise _bad("its content type names no boundary of 1 to 70 characters")
    return boundary


def _after_head(body: bytes, place: int) -> int:
    """Where the content of the part begins whose headers begin at `place`."""
    if not body.startswith(b"\r\n", place):
        raise _bad("a boundary is not followed by a new line")
    end = body.find(b"\r\n\r\n", place, place + HEAD_BYTES)
    if end < 0:
        raise _bad(f"the headers of a part do not end within {HEAD_BYTES} bytes")
    return end + 4


def _is_file(head: bytes, field: str) -> bool:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            kind, options = parse_options_header(value.strip())
            return kind == b"form-data" and options.get(b"name") == field.encode() and b"filename" in options
    return False


def _only(files: list[bytes], field: str) -> bytes:
    if len(files) > 1:
        raise _bad(f"it has the file `{field}` more than once")
    if not files:
        raise Refused(f"the form has no file `{field}`", code="serving.no_image", status=400)
    return files[0]
