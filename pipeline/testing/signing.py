"""A key in memory."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pipeline.testing.faults import Faults
from pipeline.wire.signature import PublicKey


class FakeSigner:
    """A Signer whose key follows from a name. Calls known to `faults`: public_key, sign."""

    def __init__(self, name: str = "a key") -> None:
        self.faults = Faults()
        self.key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())

    @property
    def public(self) -> PublicKey:
        """Return the public half."""
        return PublicKey.of(self._der())

    async def public_key(self) -> bytes:
        """Return the public half, in DER."""
        async with self.faults.around("public_key"):
            return self._der()

    async def sign(self, data: bytes) -> bytes:
        """Return the signature."""
        async with self.faults.around("sign"):
            return self.key.sign(data)

    def _der(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
