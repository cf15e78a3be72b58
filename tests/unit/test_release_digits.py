"""The digits data and its preprocessing: a split without duplicates, pictures come through exactly."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageOps

from models.digits import dataset, preprocess


def test_no_image_is_on_both_sides() -> None:
    train = {sample.sha256 for sample in dataset.on_side("train")}
    test = {sample.sha256 for sample in dataset.on_side("test")}
    assert train and test and not train & test
    assert len(dataset.samples()) == 1797 == len(dataset.on_side("train")) + len(dataset.on_side("test"))


def test_identical_images_are_on_one_side_whatever_their_number_and_order() -> None:
    """The side is a function of the bytes alone; position and neighbours do not enter."""
    sample = dataset.samples()[0]
    twin = dataset.Sample(sample.levels, "another label", sample.sha256)
    assert twin.side == sample.side == dataset.side_of(sample.sha256)


def test_every_digit_is_on_both_sides() -> None:
    for side, least in (("train", 100), ("test", 25)):
        counts = Counter(sample.label for sample in dataset.on_side(side))  # type: ignore[arg-type]
        assert set(counts) == set("0123456789") and min(counts.values()) >= least


def test_the_manifest_lists_every_image_with_its_hash() -> None:
    images = dataset.manifest()["images"]
    assert [image["sha256"] for image in images] == [sample.sha256 for sample in dataset.samples()]
    assert {image["split"] for image in images} == {"train", "test"}


def test_a_held_out_png_is_exactly_what_the_network_learned_from() -> None:
    held_out = dataset.on_side("test")
    wanted = dataset.inputs(held_out)
    for index, sample in enumerate(held_out):
        data, label = dataset.held_out_png(index)
        picture = Image.open(io.BytesIO(data))
        assert (picture.format, label) == ("PNG", sample.label)
        assert np.array_equal(preprocess.from_image(picture), wanted[index])
    assert dataset.held_out_png(len(held_out)) == dataset.held_out_png(0)


def test_inputs_are_floats_from_paper_0_to_ink_1() -> None:
    inputs = dataset.inputs(dataset.samples())
    assert (inputs.shape, inputs.dtype) == ((1797, 1, 8, 8), np.float32)
    assert np.all(inputs.min(axis=(1, 2, 3)) == 0) and np.all(inputs.max(axis=(1, 2, 3)) == 1)


@pytest.fixture
def digit() -> Image.Image:
    return dataset.on_side("test")[3].image(16)


def _close(first: preprocess.Pixels, second: preprocess.Pixels) -> bool:
    return bool(np.abs(first - second).max() < 0.02)


def test_dark_ink_on_white_paper_is_the_same_digit(digit: Image.Image) -> None:
    assert _close(preprocess.from_image(ImageOps.invert(digit)), preprocess.from_image(digit))


def test_pale_ink_is_the_same_digit(digit: Image.Image) -> None:
    pale = digit.point([90 + value // 3 for value in range(256)])
    assert _close(preprocess.from_image(pale), preprocess.from_image(digit))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "CMYK", "YCbCr", "I", "F", "I;16"])
def test_any_kind_of_pixel_is_the_same_digit(digit: Image.Image, mode: str) -> None:
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(digit).astype(np.uint16) * 257)
        assert picture.mode == "I;16"
    else:
        picture = digit.convert(mode)
    assert _close(preprocess.from_image(picture), preprocess.from_image(digit))


def test_transparent_paper_is_white_paper(digit: Image.Image) -> None:
    ink = Image.new("RGBA", digit.size, "black")
    ink.putalpha(digit)
    assert _close(preprocess.from_image(ink), preprocess.from_image(digit))


def test_a_turned_photograph_stands_upright(digit: Image.Image) -> None:
    turned = digit.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6  # turn clockwise to see it upright
    assert np.array_equal(preprocess.from_image(turned), preprocess.from_image(digit))


@pytest.mark.parametrize("level", [0, 7, 128, 255])
def test_a_blank_page_stays_blank(level: int) -> None:
    page = Image.new("L", (50, 70), level)
    page.putpixel((3, 3), max(0, level - 1))
    assert np.all(preprocess.from_image(page) < 0.51)


def test_proportions_are_kept() -> None:
    bar = Image.new("L", (400, 100), 255)
    bar.paste(0, (40, 20, 360, 80))
    pixels = preprocess.from_image(bar)[0]
    assert np.all(pixels[[0, 1, 2, 5, 6, 7]] == 0) and np.all(pixels[3:5, 1:7] > 0.5)


@pytest.mark.parametrize(
    "rows",
    [None, [], 1, "8x8", [[0.5] * 8] * 7, [[0.5] * 7] * 8, [[2.0] * 8] * 8, [[-0.1] * 8] * 8, [["a"] * 8] * 8,
     [[float("nan")] * 8] * 8, [[None] * 8] * 8, [[0.5] * 8] * 7 + [[0.5]], [[10**400] * 8] * 8],
)  # fmt: skip
def test_rows_of_another_form_are_refused(rows: object) -> None:
    with pytest.raises(ValueError, match="instance"):
        preprocess.from_rows(rows)


def test_rows_are_taken_as_they_are() -> None:
    rows = [[row / 7] * 8 for row in range(8)]
    pixels = preprocess.from_rows(rows)
    assert (pixels.shape, pixels.dtype) == ((1, 8, 8), np.float32)
    assert np.array_equal(pixels[0], np.asarray(rows, dtype=np.float32))
