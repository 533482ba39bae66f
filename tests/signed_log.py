"""An audit log of several shards with signed roots in two places, in memory: for tests that look at it or spoil it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.delivery.roots import Places, Rhythm, RootWriter
from pipeline.model.change import Batch
from pipeline.testing.changes import SHARD, STREAM, batches, history
from pipeline.testing.fakes import FakeObjectStore, FakeStateStore, ManualClock
from pipeline.testing.signing import FakeSigner
from pipeline.verification.audit import Report, verify_chain
from pipeline.verification.roots import Remembered, RootReader, Trust
from pipeline.wire import chain
from pipeline.wire.rangelog import RangeLog
from pipeline.wire.signature import PublicKey

OTHER = "shardId-000000000001"
CHANGES = history(["a", "b", "a", "-b", "c", "a", "b", "c", "d", "-a", "e", "a"])


@dataclass
class SignedLog:
    """A log, its second location, and what writes its roots."""

    log: FakeObjectStore = field(default_factory=FakeObjectStore)
    witness: FakeObjectStore | None = field(default_factory=FakeObjectStore)
    store: FakeStateStore = field(default_factory=FakeStateStore)
    clock: ManualClock = field(default_factory=ManualClock)
    signer: FakeSigner = field(default_factory=FakeSigner)

    def writer(self, rhythm: Rhythm | None = None, signer: FakeSigner | None = None) -> RootWriter:
        """Return one worker's writer of roots."""
        places = Places(self.log, self.witness)
        rhythm = rhythm or Rhythm(entries=1, minutes=5)
        return RootWriter("audit", STREAM, places, signer or self.signer, self.store, self.clock, rhythm)

    async def append(self, *batches_: Batch) -> None:
        """Deliver batches."""
        log = RangeLog(self.log, chain.ChainForm(), chain.end_of)
        for each in batches_:
            await log.append(each)

    async def verify(
        self, keys: Sequence[PublicKey] | None = None, remembered: Remembered | None = None
    ) -> tuple[Report, Trust]:
        """Return what `fanout audit verify` finds, with the signer's public key unless others are given."""
        report = Report()
        given = [self.signer.public] if keys is None else keys
        roots = RootReader(STREAM, self.log, self.witness, given, report, remembered)
        return await verify_chain(self.log, roots.trusted(), report), roots.trust


def root_names(log: FakeObjectStore) -> list[str]:
    """Return the names of the roots in a store."""
    return sorted(name for name in log.objects if name.startswith("roots/"))


async def signed_log() -> SignedLog:
    """Return two chains of three objects each, and three roots: each vouches for one object of each chain."""
    made = SignedLog()
    parts = [batches(CHANGES, 3, 7, shard=shard) for shard in (SHARD, OTHER)]
    rhythm = Rhythm(entries=6, minutes=5)
    writer = made.writer(rhythm=rhythm)
    for pair in zip(*parts, strict=True):
        await made.append(*pair)
        await writer.look()
    return made
