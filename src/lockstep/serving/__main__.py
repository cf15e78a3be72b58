"""`python -m lockstep.serving`: verify a release bundle, then serve it.

Exits 0 after SIGTERM. When it cannot start it exits with the error's code, and the last line on
stderr is `error: <message> [<code>]`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from lockstep.errors import LockstepError


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lockstep.serving", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the release")
    parser.add_argument("--release", required=True, help="its digest, sha256:...")
    parser.add_argument("--slot", choices=("blue", "green"), required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--address", default="127.0.0.1", help="to listen on; in a pod 0.0.0.0")
    parser.add_argument("--runtime", default="onnx", help="onnx (default), torch or tensorrt")
    return parser.parse_args(argv)


@contextlib.contextmanager
def _bentoml_home() -> Iterator[None]:
    """BentoML writes below its home when imported: where BENTOML_HOME says, else a folder that goes again.

    Temporary files are in it too, in a folder that is empty at each start: BentoML makes a folder for each
    service, and a service that is killed would leave it behind for ever.
    """
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    with contextlib.ExitStack() as ending:
        home = os.environ.get("BENTOML_HOME") or ending.enter_context(
            tempfile.TemporaryDirectory(prefix="lockstep-bentoml-")
        )
        os.environ["BENTOML_HOME"] = home
        temporary = Path(home, "temporary")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        tempfile.tempdir = str(temporary)
        yield


def _serve(arguments: argparse.Namespace) -> None:
    # Each import below comes after what it needs: telemetry off, the bundle verified.
    from lockstep.serving import startup

    startup.verify(arguments.bundle, arguments.release, arguments.runtime)
    from lockstep.serving.identity import Identity
    from lockstep.serving.limits import DATA_BYTES
    from lockstep.serving.predictor import run
    from lockstep.serving.server import application, bind, die_with_parent, limit_memory, serve

    die_with_parent()
    if arguments.runtime in DATA_BYTES:
        limit_memory(DATA_BYTES[arguments.runtime])
    listener = bind(arguments.port, arguments.address)
    identity = Identity(arguments.release, arguments.slot, arguments.region, arguments.model)
    predictor = startup.load(arguments.bundle, identity, arguments.runtime)
    run(predictor)
    service = startup.load_module(arguments.bundle, "service").SERVICE
    serve(application(service, predictor), listener)


def main(argv: Sequence[str] | None = None) -> int:
    # Written beside the release's code, a .pyc would make the bundle hold more than its manifest names.
    sys.dont_write_bytecode = True
    arguments = _arguments(argv)
    try:
        with _bentoml_home():
            _serve(arguments)
    except LockstepError as error:
        if error.remedy:
            sys.stderr.write(f"next: {error.remedy}\n")
        sys.stderr.write(f"error: {error.message} [{error.code}]\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
