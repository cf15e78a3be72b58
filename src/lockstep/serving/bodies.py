"""What goes into and comes out of the service's APIs, as BentoML input and output specs.

BentoML's own specs would fetch a URL that a multipart field names, and write an upload to disk.
"""

from __future__ import annotations

import functools
from typing import Any

from _bentoml_sdk.io_models import IORootModel  # type: ignore[import-untyped]
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from lockstep.serving.forms import file_field
from lockstep.serving.limits import LIMITS
from lockstep.serving.predictor import Answer, running
from lockstep.serving.refusal import Refused, note
from lockstep.serving.runtimes import Floats

JSON = "application/json"
MULTIPART = "multipart/form-data"
FIELD = "image"
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/jpg", "application/octet-stream"})
INLINE_BYTES = 32 * 1024
"""A batch body up to this size is parsed on the event loop: handing it to a thread would cost more."""


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


class ImageUpload(IORootModel[bytes]):  # type: ignore[misc]
    """The bytes of one image: the raw body, or the multipart field `image`."""

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> ImageUpload:
        kind = media_type(request)
        if kind == MULTIPART:
            return cls(await _field(request))
        if kind not in IMAGE_TYPES:
            raise note(
                Refused(
                    f"send image/png, image/jpeg, or {MULTIPART} with a field `{FIELD}`",
                    code="serving.unsupported_type",
                    status=415,
                )
            )
        return cls(await request.body())


async def _field(request: Request) -> bytes:
    try:
        return file_field(await request.body(), request.headers["content-type"], FIELD, LIMITS)
    except Refused as refused:
        raise note(refused) from None


class Instances(IORootModel[Any]):  # type: ignore[misc]
    """`{"instances": [...]}` as float32 [N, *shape]."""

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Instances:
        if media_type(request) != JSON:
            raise note(Refused("send application/json", code="serving.unsupported_type", status=415))
        body = await request.body()
        read = running().read_instances
        small = len(body) <= INLINE_BYTES
        rows = read(body) if small else await run_sync(read, body, limiter=_parsers())
        if isinstance(rows, Refused):
            raise note(rows)
        return cls(rows)


@functools.cache
def _parsers() -> CapacityLimiter:
    """JSON takes 30 times its size once read, so only a few large bodies are read at a time."""
    return CapacityLimiter(2)


class Prediction(IORootModel[Any]):  # type: ignore[misc]
    """The answer to one image."""

    media_type = JSON

    @classmethod
    async def to_http_response(cls, obj: Answer, serde: Any) -> Response:
        return _response(obj)


class Predictions(IORootModel[Any]):  # type: ignore[misc]
    """The answer to one batch request, from its rows of probabilities."""

    media_type = JSON

    @classmethod
    async def to_http_response(cls, obj: Floats, serde: Any) -> Response:
        return _response(running().batch_answer(obj))


def _response(answer: Answer) -> Response:
    headers = {"x-lockstep-prediction-id": answer.prediction_id}
    return Response(answer.body, answer.status, media_type=JSON, headers=headers)


# BentoML then passes the parsed value itself to the API, not its fields.
ImageUpload.__root_input__ = True
Instances.__root_input__ = True
