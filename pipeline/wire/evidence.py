"""What a checkpoint row says of owners that ended without a word, as fields beside the checkpoint's own.

Rows without them say nothing of the kind. An older version leaves them out when it writes: then counting begins again.
"""

from collections.abc import Mapping

from pipeline.model.errors import Corrupt
from pipeline.model.progress import Evidence
from pipeline.ports import FieldValue

_TEXT, _NUMBERS = "offeredOf", ("starts", "offeredFirst", "offeredLast", "offers")


def to_fields(evidence: Evidence) -> dict[str, FieldValue]:
    """Return evidence as row fields."""
    fields: dict[str, FieldValue] = {"starts": evidence.starts} if evidence.starts else {}
    if evidence.offers:
        fields |= {_TEXT: evidence.of, "offeredFirst": evidence.first, "offeredLast": evidence.last}
        fields["offers"] = evidence.offers
    return fields


def from_fields(fields: Mapping[str, FieldValue], where: str) -> Evidence:
    """Return the evidence of a row. Raises Corrupt, naming `where`, when it cannot be read."""
    starts, first, last, offers = (fields.get(name, 0) for name in _NUMBERS)
    of = fields.get(_TEXT, "")
    if not (
        isinstance(starts, int)
        and isinstance(of, str)
        and isinstance(first, int)
        and isinstance(last, int)
        and isinstance(offers, int)
    ):
        msg = f"the checkpoint {where} has a count of starts or offers that is no number"
        raise Corrupt(msg, hint="was the row edited by hand?")
    return Evidence(starts, of, first, last, offers)
