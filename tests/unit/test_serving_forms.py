"""A file out of a multipart body: found, or refused in a bounded number of steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.serving.forms import file_field
from lockstep.serving.limits import Limits
from lockstep.serving.refusal import Refused

KIND = "multipart/form-data; boundary=b"
IMAGE = b'Content-Disposition: form-data; name="image"; filename="x.png"\r\n'
TEXT = b'Content-Disposition: form-data; name="note"\r\n'


def part(content: bytes, head: bytes = IMAGE) -> bytes:
    return b"--b\r\n" + head + b"\r\n" + content + b"\r\n"


def read(body: bytes, kind: str = KIND) -> bytes:
    return file_field(body, kind, "image", Limits(form_parts=4))


def refused(body: bytes, kind: str = KIND) -> str:
    with pytest.raises(Refused) as caught:
        read(body, kind)
    assert caught.value.status == 400
    return caught.value.code


@pytest.mark.parametrize("content", [b"", b"abc", b"\r\n", b"\r\n--", b"a--b", b"\r\r\n-" * 1000])
def test_the_content_comes_out_as_it_is(content: bytes) -> None:
    assert read(part(content) + b"--b--\r\n") == content


def test_other_fields_a_preamble_and_an_epilogue_are_passed_over() -> None:
    body = b"hello\r\n" + part(b"hi", TEXT) + part(b"abc") + part(b"x", TEXT) + b"--b--\r\nbye"
    assert read(body) == b"abc"
    assert read(part(b"abc") + b"--b--", 'Multipart/Form-Data; charset=utf-8; boundary="b"') == b"abc"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"--b",
        b"--bb\r\n\r\n\r\n--bb--",
        part(b"abc"),
        part(b"abc")[:-2] + b"--b--",
        part(b"abc") + b"--b",
        part(b"abc") + part(b"abd") + b"--b--",
        part(b"hi", TEXT) * 5 + b"--b--",
        b"--b\r\n" * 1_000_000,
        b"--b\r\n\r\n\r\n" * 500_000,
        part(b"abc", b"x: " + b"y" * 1_000_000 + b"\r\n" + IMAGE) + b"--b--",
        part(b"abc", b"x: y\r\n" * 100_000 + IMAGE) + b"--b--",
        b"--b\r\n" + IMAGE + b"\r\nabc",
        b"\r" * 5_000_000,
    ],
    ids=lambda body: repr(body)[:40],
)
def test_a_malformed_body_is_refused(body: bytes) -> None:
    assert refused(body) == "serving.bad_form"


@pytest.mark.parametrize("boundary", ["", "; boundary=", '; boundary=""', "; boundary=" + "b" * 71, "; x=b"])
def test_a_boundary_that_is_missing_or_too_long(boundary: str) -> None:
    assert refused(part(b"abc") + b"--b--", "multipart/form-data" + boundary) == "serving.bad_form"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        TEXT,
        b'Content-Disposition: form-data; name="image"\r\n',
        b'Content-Disposition: attachment; name="image"; filename="x"\r\n',
        b'Content-Disposition: form-data; name="image2"; filename="x"\r\n',
        b"Content-Type: multipart/mixed; boundary=c\r\n",
    ],
)
def test_a_form_without_the_file(head: bytes) -> None:
    inner = b'--c\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\nabc\r\n--c--'
    assert refused(part(inner, head) + b"--b--") == "serving.no_image"


@given(st.lists(st.sampled_from([b"--b", b"\r\n", b"--", IMAGE, TEXT, b"abc", b"\0", b": "]), max_size=20))
def test_any_arrangement_is_read_or_refused(pieces: list[bytes]) -> None:
    try:
        read(b"".join(pieces))
    except Refused as problem:
        assert problem.code in ("serving.bad_form", "serving.no_image")
