"""The contract of Signer: a key in memory, in a file, and in KMS, faked and on an emulator."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pipeline.aws.session import Caller
from pipeline.aws.signing import FileSigner, KmsSigner, make_key
from pipeline.model.errors import Misconfigured
from pipeline.ports import Signer
from pipeline.testing.signing import FakeSigner
from pipeline.wire.signature import PublicKey, public_keys

REGION = "eu-west-1"
Run = Callable[[Any], Any]


class FakeKms:
    """What KMS does with a P-256 key: it sees hashes only."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def get_public_key(self, *, KeyId: str) -> dict[str, bytes]:  # noqa: N803  # AWS's name
        """Answer with the public half."""
        return {"PublicKey": self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)}

    def sign(self, *, KeyId: str, Message: bytes, MessageType: str, SigningAlgorithm: str) -> dict[str, bytes]:  # noqa: N803  # AWS's names
        """Sign a digest."""
        assert (MessageType, SigningAlgorithm, len(Message)) == (
            "DIGEST",
            "ECDSA_SHA_256",
            32,
        )
        return {"Signature": self._key.sign(Message, ec.ECDSA(utils.Prehashed(hashes.SHA256())))}


@pytest.fixture(params=["fake", "file", "kms", pytest.param("ministack", marks=pytest.mark.emulator)])
def signer(request: pytest.FixtureRequest, run: Run, tmp_path: Path) -> Iterator[Signer]:
    """Each signer in turn."""
    with ThreadPoolExecutor(2) as threads:
        match request.param:
            case "fake":
                yield FakeSigner()
            case "file":
                make_key(tmp_path / "key.pem")
                yield FileSigner(tmp_path / "key.pem", threads)
            case "kms":
                yield KmsSigner(Caller(FakeKms(), REGION, threads), "a key")
            case _:
                caller = request.getfixturevalue("aws_on")("ministack").kms(REGION)
                made = caller.client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
                yield KmsSigner(caller, made["KeyMetadata"]["KeyId"])


def test_its_public_half_tells_its_signatures(signer: Signer, run: Run) -> None:
    """A signature is that of exactly these bytes by exactly this key, however long they are."""
    key = PublicKey.of(run(signer.public_key()))
    for data in (b"", b"root" * 100_000):
        signature = run(signer.sign(data))
        assert key.made(signature, data)
        assert not key.made(signature, data + b"!")
        assert not key.made(signature[:-1] + bytes([signature[-1] ^ 1]), data)
        assert not FakeSigner("another").public.made(signature, data)
    assert public_keys(key.pem.encode()) == [key]


@pytest.mark.fault("A4")
def test_a_missing_key_in_kms_is_named(run: Run, aws_on: Callable[..., Any]) -> None:
    """A key that is not there is a wrong setting, with its id."""
    caller = aws_on("ministack").kms(REGION)
    with pytest.raises(Misconfigured, match="no-such-key"):
        run(KmsSigner(caller, "no-such-key").public_key())


@pytest.mark.fault("A4")
@pytest.mark.parametrize("wrong", ["missing", "readable by others", "not a key", "a folder", "a public key"])
def test_a_key_file_that_cannot_be_used_is_named(tmp_path: Path, wrong: str) -> None:
    """A file that is not there, that others may read, or that holds something else is named, and none of it shown."""
    file = tmp_path / "key.pem"
    match wrong:
        case "readable by others":
            make_key(file)
            file.chmod(0o640)
        case "not a key":
            file.write_text("secret words")
            file.chmod(0o600)
        case "a folder":
            file.mkdir(mode=0o700)
        case "missing":
            pass
        case _:
            file.write_text(make_key(tmp_path / "other.pem").pem)
            file.chmod(0o600)
    with ThreadPoolExecutor(1) as threads, pytest.raises(Misconfigured, match=r"key\.pem") as raised:
        asyncio.run(FileSigner(file, threads).sign(b"x"))
    assert "secret words" not in str(raised.value)


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    """Making a key where a file is refuses and leaves it: what the old one signed could not be told from forgery."""
    file = tmp_path / "key.pem"
    make_key(file)
    before = file.read_bytes()
    with pytest.raises(Misconfigured, match="already"):
        make_key(file)
    assert file.read_bytes() == before
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", [b"", b"-----BEGIN PUBLIC KEY-----\n!!\n-----END PUBLIC KEY-----", b"nonsense"])
def test_no_public_key_is_refused(text: bytes) -> None:
    """A file without a public key is wrong use, with the form it should have."""
    with pytest.raises(Misconfigured) as raised:
        public_keys(text)
    assert "BEGIN PUBLIC KEY" in raised.value.hint
