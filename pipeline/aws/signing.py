"""Signer with a key in a file, and with a key in AWS KMS that never leaves it."""

import asyncio
import hashlib
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from pipeline.aws.errors import translated
from pipeline.aws.private import read_private, write_private
from pipeline.aws.session import Caller
from pipeline.model.errors import Misconfigured
from pipeline.wire.signature import PublicKey


class FileSigner:
    """An Ed25519 key in a PEM file, read anew each time: it may come later, or be replaced."""

    def __init__(self, file: Path, threads: Executor) -> None:
        self._file = file
        self._threads = threads

    async def public_key(self) -> bytes:
        """Return the public half of the key in the file."""
        return _der(await self._key())

    async def sign(self, data: bytes) -> bytes:
        """Return the signature by the key in the file."""
        return (await self._key()).sign(data)

    async def _key(self) -> Ed25519PrivateKey:
        return await asyncio.get_running_loop().run_in_executor(self._threads, read_key, self._file)


class KmsSigner:
    """An asymmetric key of AWS KMS, for signing: ECC_NIST_P256 or RSA. Only hashes are sent there."""

    def __init__(self, caller: Caller[Any], key: str) -> None:
        self._caller = caller
        self._key = key

    async def public_key(self) -> bytes:
        """Return the public half of the key, asked for each time: an alias may point at another."""
        with translated("kms:GetPublicKey", f"key {self._key}"):
            answer = await self._caller.run(self._caller.client.get_public_key, KeyId=self._key)
        der: bytes = answer["PublicKey"]
        return der

    async def sign(self, data: bytes) -> bytes:
        """Return the signature of the bytes' SHA-256."""
        match PublicKey.of(await self.public_key()).key:
            case EllipticCurvePublicKey():
                algorithm = "ECDSA_SHA_256"
            case RSAPublicKey():
                algorithm = "RSASSA_PSS_SHA_256"
            case _:
                hint = "make one of ECC_NIST_P256 or RSA_3072 with the usage SIGN_VERIFY"
                raise Misconfigured(f"key {self._key} is of a kind that cannot sign hashes", hint=hint)
        ask = {"KeyId": self._key, "MessageType": "DIGEST", "SigningAlgorithm": algorithm}
        with translated("kms:Sign", f"key {self._key}"):
            answer = await self._caller.run(self._caller.client.sign, Message=hashlib.sha256(data).digest(), **ask)
        signature: bytes = answer["Signature"]
        return signature


def make_key(file: Path) -> PublicKey:
    """Write a new Ed25519 key into a file that only its owner may read; return its public half.

    Raises Misconfigured when the file is there, which is left as it is, or cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    hint = "name another file: what an old key has signed can be checked with its public half only"
    write_private(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), hint)
    return public_half(key)


def read_key(file: Path) -> Ed25519PrivateKey:
    """Return the private key in a file. Raises Misconfigured, and shows nothing of what is in it."""
    hint = "`fanout audit keygen` makes one; until then entries are written and the signature waits"
    data = read_private(file, "the signing key", hint)
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Misconfigured(f"{file}: is no private key in PEM", hint="make one: `fanout audit keygen`") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Misconfigured(f"{file}: is no Ed25519 key", hint="make one: `fanout audit keygen`")
    return key


def public_half(key: Ed25519PrivateKey) -> PublicKey:
    """Return the public half of a key."""
    return PublicKey.of(_der(key))


def _der(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
