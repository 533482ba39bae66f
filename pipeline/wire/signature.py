"""Signatures by public key: what a key is called, and whether it made a signature.

The algorithm follows from the kind of key, never from what was signed: Ed25519, ECDSA with SHA-256 for P-256, RSA-PSS
with SHA-256 for RSA.
"""

import base64
import binascii
import hashlib
import re
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from pipeline.model.errors import Misconfigured

_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----\s(.+?)-----END PUBLIC KEY-----", re.DOTALL)
_RSA_BITS_MIN = 2048
_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)


class PublicKey(NamedTuple):
    """A public key; `id` is the SHA-256 of its DER form, in hexadecimal, which is also its fingerprint."""

    id: str
    key: Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey

    @classmethod
    def of(cls, der: bytes) -> "PublicKey":
        """Return the key of a SubjectPublicKeyInfo. Raises Misconfigured for a kind that is not known here."""
        try:
            key = load_der_public_key(der)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise Misconfigured("that is no public key", hint=_HINT) from error
        match key:
            case Ed25519PublicKey():
                known = True
            case EllipticCurvePublicKey():
                known = isinstance(key.curve, SECP256R1)
            case RSAPublicKey():
                known = key.key_size >= _RSA_BITS_MIN
            case _:
                known = False
        if not known:
            raise Misconfigured("a public key is of a kind that signs no roots", hint=_HINT)
        assert isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey)
        return cls(hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest(), key)

    @property
    def pem(self) -> str:
        """Return the key as people exchange it."""
        return self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def made(self, signature: bytes, data: bytes) -> bool:
        """Return True when this key made the signature of these bytes."""
        try:
            match self.key:
                case Ed25519PublicKey():
                    self.key.verify(signature, data)
                case EllipticCurvePublicKey():
                    self.key.verify(signature, data, ECDSA(hashes.SHA256()))
                case RSAPublicKey():
                    self.key.verify(signature, data, _PSS, hashes.SHA256())
        except InvalidSignature:
            return False
        return True


def public_keys(text: bytes) -> list[PublicKey]:
    """Return the keys of a PEM text, one or several. Raises Misconfigured when there is none, or one is not known."""
    found = _PEM.findall(text)
    if not found:
        raise Misconfigured("there is no public key", hint=_HINT)
    try:
        return [PublicKey.of(base64.b64decode(b"".join(body.split()), validate=True)) for body in found]
    except binascii.Error as error:
        raise Misconfigured("a public key is damaged", hint=_HINT) from error


_HINT = (
    "give PEM: -----BEGIN PUBLIC KEY-----, of Ed25519, P-256 or RSA of 2048 bits or more, as `fanout audit keygen`"
    " prints it"
)
