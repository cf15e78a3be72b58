"""The peer of `benchmarks/serve.py`: the same BentoML service without release check, ids and metrics.

The same preprocessing, weights, threads and server; an image body in, label and probabilities out.
"""

from __future__ import annotations

import argparse
import io
import json
import signal
import socket
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
import onnxruntime
import preprocess
import uvicorn
from _bentoml_sdk.io_models import IORootModel
from PIL import Image
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class Body(IORootModel[bytes]):
    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Body:
        return cls(await request.body())


class Answer(IORootModel[dict[str, Any]]):
    @classmethod
    async def to_http_response(cls, obj: Any, serde: Any) -> Response:
        return JSONResponse(obj)


Body.__root_input__ = True


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--untraced", action="store_true", help="leave out BentoML's spans, as ours does")
    return parser.parse_args()


ARGUMENTS = _arguments()


@bentoml.service(
    name="plain",
    resources={"cpu": "1"},
    workers=1,
    threads=2,
    traffic={"timeout": 30},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"} if ARGUMENTS.untraced else {},
)
class Plain:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            str(ARGUMENTS.bundle / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self.labels = json.loads((ARGUMENTS.bundle / "labels.json").read_bytes())

    @bentoml.api(input_spec=Body, output_spec=Answer)
    def predict(self, image: bytes) -> dict[str, Any]:
        pixels = preprocess.from_image(Image.open(io.BytesIO(image)))
        row = self.session.run(None, {"image": pixels[np.newaxis]})[0][0]
        return {
            "label": self.labels[int(row.argmax())],
            "probabilities": dict(zip(self.labels, row.tolist(), strict=True)),
        }


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it again once it has closed
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", ARGUMENTS.port))
    config = uvicorn.Config(
        Plain.to_asgi(is_main=True),
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        ws="none",
    )
    uvicorn.Server(config).run(sockets=[listener])
