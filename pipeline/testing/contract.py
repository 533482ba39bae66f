"""The tests every sink passes: inherit SinkContract, name the topology, say how to read what it wrote.

    class TestPostbox(SinkContract):
        topology = topology_called("postbox")
        settings = {"bucket": "out"}
        not_applicable = {49: "this is its first version"}

        async def read_back(self, stores): ...

Stores taken from the context meet faults at every call. A sink with a destination of its own wraps each call to it:
`async with context.faults.around("name of the call"): ...`. A case that cannot apply is declared with a reason, which
`pytest -rs` prints; `docs/reference/contract.md` lists all cases.
"""

import pytest

from pipeline.testing.cases.basics import Basics
from pipeline.testing.cases.delivery import Delivery
from pipeline.testing.cases.durability import Durability
from pipeline.testing.cases.failures import Failures
from pipeline.testing.cases.fencing import Fencing
from pipeline.testing.cases.flow import Flow
from pipeline.testing.cases.order import Order
from pipeline.testing.cases.poison import Poison
from pipeline.testing.cases.safety import Safety
from pipeline.testing.cases.scale import Scale
from pipeline.testing.context import Stores, StoresContext
from pipeline.testing.watch import Found, Kept

__all__ = ["Found", "Kept", "SinkContract", "Stores", "StoresContext"]


class SinkContract(Basics, Durability, Order, Fencing, Failures, Delivery, Flow, Poison, Scale, Safety):
    """What delivery counts on; see each case."""

    @pytest.fixture(autouse=True)
    def applies(self, request: pytest.FixtureRequest) -> None:
        """Skip a case that the author declared not to apply, with the reason."""
        reason = self.why_not(request.node.originalname)
        if reason:
            pytest.skip(f"does not apply: {reason}")
