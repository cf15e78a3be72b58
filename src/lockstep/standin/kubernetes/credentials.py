"""What one API server needs to be spoken to: a certificate of its own making and a token."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class ServerFiles:
    """PEM files. authority: what a client trusts; account keys sign the tokens of service accounts."""

    authority: Path
    certificate: Path
    key: Path
    account_key: Path
    account_public: Path


def write(folder: Path) -> ServerFiles:
    """Make them for 127.0.0.1, good for a day, readable by this user alone."""
    files = ServerFiles(*(folder / f"{name}.pem" for name in ("ca", "server", "server-key", "sa-key", "sa")))
    authority, server, account = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root = _certificate(
        "lockstep-standin-ca", authority.public_key(), "lockstep-standin-ca", authority, ca=True
    )
    leaf = _certificate("kube-apiserver", server.public_key(), "lockstep-standin-ca", authority, ca=False)
    public = account.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for path, content in (
        (files.authority, root.public_bytes(Encoding.PEM)),
        (files.certificate, leaf.public_bytes(Encoding.PEM)),
        (files.key, _private(server)),
        (files.account_key, _private(account)),
        (files.account_public, public),
    ):
        path.touch(mode=0o600)
        path.write_bytes(content)
    return files


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _certificate(
    name: str, key: ec.EllipticCurvePublicKey, issuer: str, signer: ec.EllipticCurvePrivateKey, *, ca: bool
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if not ca:
        addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(addresses), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
