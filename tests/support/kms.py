"""A KMS in this process, as strict as the real one's model: signed requests, key specs, message types.

Rules from the documentation of Sign and GetPublicKey in botocore's model of KMS: DIGEST wants 32 bytes for
ECDSA_SHA_256, RAW takes 4096 at most, ED25519_SHA_512 wants RAW, an algorithm goes with its key spec alone.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.loopback import Handler, served

ACCOUNT = "111122223333"
Private = ec.EllipticCurvePrivateKey | Ed25519PrivateKey | None
"""None: a key that encrypts, of which nobody has asked more than its name."""
ALGORITHMS = {"ECC_NIST_P256": "ECDSA_SHA_256", "ECC_NIST_EDWARDS25519": "ED25519_SHA_512"}


@dataclass
class FakeKms:
    """aliases: name -> key id; keys: id -> (spec, private half); where:
    id -> the region, of keys and aliases that are not of `region`; asked: the operations, in order."""

    region: str
    access: str
    secret: str
    token: str = ""
    aliases: dict[str, str] = field(default_factory=dict)
    keys: dict[str, tuple[str, Private]] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)
    """Answers to give instead of the next ones."""
    forge: bytes = b""
    """What to sign instead of the message."""
    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def make(self, alias: str, spec: str) -> str:
        """A new key under an alias, which moves if it is there; the PEM of its public half."""
        name = self._new(spec, self.region)
        self.aliases[alias] = name
        made = self.keys[name][1]
        assert made is not None
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return made.public_key().public_bytes(serialization.Encoding.PEM, form).decode()

    def _new(self, spec: str, region: str) -> str:
        made: Private = None
        if spec == "ECC_NIST_P256":
            made = ec.generate_private_key(ec.SECP256R1())
        elif spec == "ECC_NIST_EDWARDS25519":
            made = Ed25519PrivateKey.generate()
        name = f"00000000-0000-0000-0000-{len(self.keys):012d}"
        self.keys[name] = (spec, made)
        self.where[name] = region
        return name

    def arn(self, name: str) -> str:
        return f"arn:aws:kms:{self.where.get(name, self.region)}:{ACCOUNT}:key/{name}"

    def answer(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        if self.faults:
            status, name = self.faults.pop(0)
            return status, {"__type": name}
        if not self._is_signed(headers, body):
            return 400, {"__type": "IncompleteSignatureException"}
        operation = headers["x-amz-target"].removeprefix("TrentService.")
        self.asked.append(operation)
        words = json.loads(body)
        region = _scope(headers)[1]
        if operation == "CreateKey":
            return 200, {"KeyMetadata": self._metadata(self._new(words["KeySpec"], region))}
        if operation == "CreateAlias":
            if words["AliasName"] in self.aliases:
                return 400, {"__type": "AlreadyExistsException"}
            self.aliases[words["AliasName"]] = words["TargetKeyId"]
            return 200, {}
        name = self._resolve(words.get("KeyId", ""))
        if name is None or self.where.get(name, self.region) != region:
            return 400, {"__type": "com.amazonaws.kms#NotFoundException", "message": words.get("KeyId")}
        if operation == "DescribeKey":
            return 200, {"KeyMetadata": self._metadata(name)}
        if operation == "GetPublicKey":
            return 200, self._public(name)
        return (
            self._sign(name, words) if operation == "Sign" else (400, {"__type": "UnknownOperationException"})
        )

    def _metadata(self, name: str) -> dict[str, Any]:
        state = self.states.get(name, "Enabled")
        return {"KeyId": name, "Arn": self.arn(name), "KeySpec": self.keys[name][0], "KeyState": state}

    def _resolve(self, said: str) -> str | None:
        meant = self.aliases.get(said, said)
        return next((name for name in self.keys if meant in (name, self.arn(name))), None)

    def _public(self, name: str) -> dict[str, Any]:
        spec, private = self.keys[name]
        assert private is not None
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        der = private.public_key().public_bytes(serialization.Encoding.DER, form)
        return {
            "KeyId": self.arn(name),
            "KeySpec": spec,
            "KeyUsage": "SIGN_VERIFY",
            "PublicKey": base64.b64encode(der).decode(),
            "SigningAlgorithms": [ALGORITHMS.get(spec, "")],
        }

    def _sign(self, name: str, words: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        spec, private = self.keys[name]
        message, kind = base64.b64decode(words["Message"]), words.get("MessageType", "RAW")
        algorithm = words["SigningAlgorithm"]
        if (
            set(words) != {"KeyId", "Message", "MessageType", "SigningAlgorithm"}
            or algorithm != ALGORITHMS[spec]
        ):
            return 400, {"__type": "ValidationException"}
        wanted = {"DIGEST": 32} if spec == "ECC_NIST_P256" else {}
        if len(message) > 4096 if kind == "RAW" else len(message) != wanted.get(kind):
            return 400, {"__type": "ValidationException"}
        message = self.forge or message
        assert private is not None
        if isinstance(private, Ed25519PrivateKey):
            signature = private.sign(message)
        else:
            inner = utils.Prehashed(hashes.SHA256()) if kind == "DIGEST" else hashes.SHA256()
            signature = private.sign(message, ec.ECDSA(inner))
        said = base64.b64encode(signature).decode()
        return 200, {"KeyId": self.arn(name), "Signature": said, "SigningAlgorithm": algorithm}

    def _is_signed(self, headers: dict[str, str], body: bytes) -> bool:
        """By botocore's own signature over what was sent."""
        said = headers.get("authorization", "")
        if headers.get("x-amz-security-token", "") != self.token or "SignedHeaders=" not in said:
            return False
        names = said.split("SignedHeaders=")[1].split(",")[0].split(";")
        if not {"host", "x-amz-date", "x-amz-target"} <= set(names):
            return False
        sent = {name: headers[name] for name in names}
        request = AWSRequest("POST", f"{self.endpoint}/", headers=sent, data=body)
        request.context["timestamp"] = headers["x-amz-date"]
        auth = SigV4Auth(Credentials(self.access, self.secret), "kms", _scope(headers)[1])
        text = auth.canonical_request(request)
        signature = auth.signature(auth.string_to_sign(request, text), request)
        return f"Credential={self.access}/" in said and said.endswith(f"Signature={signature}")


def _scope(headers: dict[str, str]) -> list[str]:
    """Day, region and service that a signature is for."""
    return headers["authorization"].split("Credential=")[1].split(",")[0].split("/")[1:4]


@contextlib.contextmanager
def serving(kms: FakeKms) -> Iterator[FakeKms]:
    class Keys(Handler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, value = kms.answer(headers, body)
            self.say(status, value, "application/x-amz-json-1.1")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    kms.port = server.server_address[1]
    with served(server):
        yield kms
