"""The only caller of OPA: a configured one, or a private one that lives for one operation.

A private OPA is started so:
(0) read the policies once; their digest is the revision
(1) sign them as a bundle, with a key pair that is made for this operation and then thrown away
(2) start OPA on a socket in a folder that only this user can enter, with the public half of the key
(3) wait until the socket answers; OPA listens only after the bundle was verified and loaded
(4) whatever happens, kill it by its pid and remove the folder

No port is opened, so none can be taken, and nobody else can answer in OPA's place. Key and token are never
in argv: the key is a 0600 file, the token is in the environment of OPA, where its own policy reads it.
OPA dies with the thread that started it (PR_SET_PDEATHSIG), so use the context in the thread that opens it.
"""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.errors import Unavailable
from lockstep.gate.bundle import Policies
from lockstep.gate.transport import Address, Session, unavailable

if TYPE_CHECKING:
    from opa_client import OpaClient

QUESTION_S = 5.0
PACKAGE = "lockstep"
_SOCKET_PATH_LIMIT = 100  # bytes; the kernel takes 107
_DIE_WITH_PARENT = Path(__file__).parents[1] / "local" / "child.py"


@dataclass(frozen=True)
class Opa:
    """An OPA that can be asked. url: see Address; until: monotonic end of the whole operation, if any."""

    url: str
    token: str = field(repr=False)
    known_revision: str | None = None
    until: float | None = None
    question_s: float = QUESTION_S

    @property
    def revision(self) -> str:
        """The revision of the bundle that it has. Raises Unavailable `gate.opa_*`."""
        if self.known_revision is not None:
            return self.known_revision
        found = self.query({}, "revision")
        if not isinstance(found, str) or not found:
            raise unavailable("nonsense", "OPA does not say which bundle it has")
        return found

    def query(self, question: dict[str, Any], rule: str) -> Any:
        """The value of `data.lockstep.<rule>` for this input.

        Raises Unavailable: `gate.opa_down`, `_slow`, `_status`, `_too_large`, `_nonsense`, and `_undefined`
        where OPA has no such value (it then answers 200 with no result).
        """
        # A built-in that fails makes its rule undefined, silently; strict, it makes the answer a 500.
        strict = {"strict-builtin-errors": "true"}
        answer = self._client().query_rule(question, PACKAGE, rule, query_params=strict)
        if not isinstance(answer, dict):
            raise unavailable("nonsense", "OPA's answer is not an object")
        if "result" not in answer:
            raise unavailable(
                "undefined", f"OPA has no data.{PACKAGE}.{rule}: it was started without the bundle"
            )
        if set(answer) - {"result", "decision_id"}:
            raise unavailable("nonsense", f"OPA's answer has more than a result: {', '.join(sorted(answer))}")
        return answer["result"]

    def _client(self) -> OpaClient:
        address = Address.parse(self.url)
        left = self.question_s if self.until is None else min(self.question_s, self.until - time.monotonic())
        if left <= 0:
            raise unavailable("slow", "there is no time left to ask OPA")
        secure = address.scheme == "https"
        return _client_kind()(
            address, host=address.host, port=address.port, ssl=secure, token=self.token, timeout=left
        )


@cache
def _client_kind() -> Any:
    """opa-python-client's client, over our transport. Made once, and late: its import brings aiohttp."""
    from opa_client import OpaClient

    class Client(OpaClient):  # type: ignore[misc]
        def __init__(self, address: Address, **named: Any) -> None:
            self._address = address
            super().__init__(**named)

        def _init_session(self) -> Session:
            return Session(self._address, self.headers or {})

    return Client


@contextmanager
def private_opa(
    policies_dir: Path, environment: str, opa_binary: Path, deadline_s: float = 20.0
) -> Iterator[Opa]:
    """An OPA of our own with the checkout's policies and this environment's thresholds.

    deadline_s: seconds from now for everything: start, questions and end. Raises Unavailable
    `gate.policies_*` for policies that cannot be used, `gate.opa_*` for an OPA that does not start.
    """
    until = time.monotonic() + deadline_s
    threading.Thread(target=_import_client, name="gate-import", daemon=True).start()
    policies = Policies.read(policies_dir)  # (0)
    with tempfile.TemporaryDirectory(prefix="lockstep-gate-", dir=_short_folder()) as name:
        folder = Path(name)
        _sign(policies, environment, folder, opa_binary, until)  # (1)
        token = secrets.token_hex(32)
        process = _start(folder, opa_binary, token)  # (2)
        try:
            _wait(process, folder, until)  # (3)
            yield Opa(f"unix://{folder / 'socket'}", token, policies.revision, until)
        finally:
            process.kill()  # (4)
            process.wait()


def _short_folder() -> str | None:
    """None (the usual folder for temporary files) unless a socket's path in it would be too long."""
    usual = tempfile.gettempdir()
    return "/tmp" if len(usual.encode()) + 40 > _SOCKET_PATH_LIMIT else None


def _sign(policies: Policies, environment: str, folder: Path, opa_binary: Path, until: float) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    staged = folder / "policies"
    staged.mkdir()
    policies.stage(staged, environment=environment)
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / "sign.pem", folder / "verify.pem"
    private.touch(mode=0o600)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    command = [str(opa_binary), "build", "--bundle", str(staged), "--output", str(folder / "bundle.tar.gz")]
    command += ["--revision", policies.revision, "--signing-alg", "ES256", "--signing-key", str(private)]
    try:
        built = subprocess.run(
            command,
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=max(until - time.monotonic(), 0.001),
        )
    except subprocess.TimeoutExpired:
        raise unavailable("slow", "OPA did not build the policy bundle in time") from None
    except OSError as error:
        raise _no_binary(opa_binary, error) from None
    finally:
        private.unlink()
    if built.returncode != 0:
        said = _tail(built.stdout + built.stderr).replace(str(staged), "policies")
        raise Unavailable(
            f"the policies cannot be built: {said}",
            code="gate.policies_broken",
            remedy="mend the policy that is named; ./lockstep test checks them all",
        )


def _start(folder: Path, opa_binary: Path, token: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", str(_DIE_WITH_PARENT), str(opa_binary)]
    command += ["run", "--server", "--addr", f"unix://{folder / 'socket'}"]
    command += ["--authentication=token", "--authorization=basic"]
    command += ["--verification-key", str(folder / "verify.pem"), "--signing-alg", "ES256"]
    command += ["--log-level", "error", "--skip-version-check", "--bundle", str(folder / "bundle.tar.gz")]
    with (folder / "log").open("wb") as log:
        try:
            return subprocess.Popen(
                command,
                env={"LOCKSTEP_OPA_TOKEN": token},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            raise _no_binary(opa_binary, error) from None


def _import_client() -> None:
    """The import takes longer than OPA's start (it brings aiohttp), so it runs beside it."""
    import opa_client  # noqa: F401


def _wait(process: subprocess.Popen[bytes], folder: Path, until: float) -> None:
    while time.monotonic() < until:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(folder / "socket"))
                return
            except OSError:
                pass
        if process.poll() is not None:
            raise unavailable("failed", f"OPA ended at once: {_tail((folder / 'log').read_bytes())}")
        time.sleep(0.003)
    raise unavailable("slow", "OPA did not start in time")


def _no_binary(opa_binary: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"OPA cannot be started: {error.strerror} ({opa_binary})",
        code="gate.opa_missing",
        remedy="./lockstep doctor says what is missing; ./lockstep up installs it",
    )


def _tail(output: bytes) -> str:
    return output[-2000:].decode("utf-8", "replace").strip()
