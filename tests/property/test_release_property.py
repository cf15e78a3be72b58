"""Properties of pictures, titles and stored releases, over inputs that nobody wrote down."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lockstep import canonical
from lockstep.errors import IntegrityError
from lockstep.evidence import pem
from lockstep.release import bundle, manifest
from models.digits import preprocess
from tests.support import releases

TITLES = st.from_regex(r"\A[a-z0-9]{1,4}(/[a-z0-9]{1,4}){0,2}\Z")


@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16"]),
    st.randoms(use_true_random=False),
)
def test_every_picture_becomes_64_numbers_between_0_and_1(
    size: tuple[int, int], mode: str, random: np.random.RandomState
) -> None:
    noise = Image.frombytes("L", size, bytes(random.randrange(256) for _ in range(size[0] * size[1])))
    picture = (
        Image.fromarray(np.asarray(noise).astype(np.uint16) * 257) if mode == "I;16" else noise.convert(mode)
    )
    pixels = preprocess.from_image(picture)
    assert (pixels.shape, pixels.dtype) == ((1, 8, 8), np.float32)
    assert np.all((pixels >= 0) & (pixels <= 1))


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(TITLES, st.binary(max_size=40), max_size=6))
def test_any_files_come_back_from_store_and_folder(files: dict[str, bytes]) -> None:
    folders = {str(parent) for title in files for parent in list(Path(title).parents)[:-1]}
    with tempfile.TemporaryDirectory() as name:
        store = releases.store_in(Path(name))
        if folders & set(files):
            try:
                manifest.release("digits", "x", b"{}", files)
            except IntegrityError:
                return
            raise AssertionError("a title that is file and folder was accepted")
        digest = releases.put(store, files=files)
        folder = store.materialize(digest, Path(name) / "bundles")
        assert bundle.verify_bundle(folder, digest) == store.manifest(digest)
        for title, data in {**releases.FILES, **files}.items():
            assert (folder / title).read_bytes() == data


@given(st.dictionaries(TITLES, st.binary(max_size=8), max_size=4), st.randoms(use_true_random=False))
def test_a_manifest_does_not_depend_on_the_order_of_files(
    files: dict[str, bytes], random: np.random.RandomState
) -> None:
    items = list(files.items())
    random.shuffle(items)
    try:
        first = manifest.release("digits", "x", b"{}", files)
    except IntegrityError:
        return
    assert manifest.release("digits", "x", b"{}", dict(items)) == first
    assert canonical.canonical(canonical.parse(first)) == first


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_manifest_reader(data: bytes) -> None:
    try:
        bundle.parse_manifest(data, canonical.digest(data))
    except IntegrityError:
        return
    raise AssertionError("random bytes are no release")


@given(st.text(max_size=200))
def test_no_text_crashes_the_key_reader(text: str) -> None:
    try:
        pem.read_public(text)
    except ValueError:
        return
    raise AssertionError("random text is no key")
