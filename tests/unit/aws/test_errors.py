"""AWS errors by what happens next."""

import traceback

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.parsers import ResponseParserError

from pipeline.aws.errors import translated, with_reason
from pipeline.model.errors import Gap, IteratorExpired, Misconfigured, PipelineError, RetryLater


def _client_error(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": "The key is SECRET-VALUE"},
            "ResponseMetadata": {
                "HTTPStatusCode": status,
                "RequestId": "r",
                "HostId": "",
                "HTTPHeaders": {},
                "RetryAttempts": 0,
            },
        },
        "GetRecords",
    )


def _raised(error: Exception, *, missing_is_gap: bool = False) -> PipelineError:
    with (
        pytest.raises(PipelineError) as caught,
        translated("dynamodb:GetRecords", "table orders", missing_is_gap=missing_is_gap),
    ):
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ProvisionedThroughputExceededException", RetryLater),
        ("ThrottlingException", RetryLater),
        ("LimitExceededException", RetryLater),
        ("KMSThrottlingException", RetryLater),
        ("InternalServerError", RetryLater),
        ("SlowDown", RetryLater),
        ("ConditionalRequestConflict", RetryLater),
        ("TransactionInProgressException", RetryLater),
        ("ExpiredIteratorException", IteratorExpired),
        ("TrimmedDataAccessException", Gap),
        ("ResourceNotFoundException", Misconfigured),
        ("AccessDeniedException", Misconfigured),
        ("UnrecognizedClientException", Misconfigured),
        ("ExpiredTokenException", Misconfigured),
        ("KMSAccessDeniedException", Misconfigured),
        ("ValidationException", Misconfigured),
        ("SomethingNew", Misconfigured),
    ],
)
def test_a_code_decides_what_happens_next(code: str, kind: type[PipelineError]) -> None:
    """Each code becomes exactly one of our errors, which names the action, the resource and the code."""
    error = _raised(_client_error(code))
    assert type(error) is kind
    assert error.reason == f"dynamodb:GetRecords on table orders: {code}"


def test_an_unknown_code_of_a_failing_server_may_pass() -> None:
    """Any answer of 500 and above is the service's fault."""
    assert type(_raised(_client_error("500", 500))) is RetryLater


def test_a_missing_stream_is_a_gap_where_records_are_read() -> None:
    """Where what is missing held records, its absence is their loss."""
    assert type(_raised(_client_error("ResourceNotFoundException"), missing_is_gap=True)) is Gap


@pytest.mark.fault("G2")
def test_a_denied_action_is_named_for_the_policy() -> None:
    """The hint is the permission to add."""
    assert _raised(_client_error("AccessDeniedException")).hint == "allow dynamodb:GetRecords on table orders"


@pytest.mark.fault("N1")
@pytest.mark.parametrize(
    "error",
    [
        ReadTimeoutError(endpoint_url="u"),
        ConnectionClosedError(endpoint_url="u"),
        EndpointConnectionError(endpoint_url="u", error="e"),
        ResponseStreamingError(error="e"),
        ResponseParserError("e"),
    ],
)
def test_no_answer_may_pass(error: Exception) -> None:
    """A lost, late, cut or unreadable answer is worth another try, and its effect is unknown."""
    assert type(_raised(error)) is RetryLater


def test_no_answer_names_who_was_asked() -> None:
    """The endpoint is told, and what may be wrong with it."""
    raised = _raised(EndpointConnectionError(endpoint_url="http://127.0.0.1:9/", error="e"))
    assert "no answer from http://127.0.0.1:9/" in str(raised)
    assert "AWS_ENDPOINT_URL" in raised.hint


@pytest.mark.parametrize("error", [NoCredentialsError(), ParamValidationError(report="SECRET-VALUE")])
def test_what_the_library_refuses_is_set_up_wrong(error: Exception) -> None:
    """No credentials and unsendable requests do not get better by waiting."""
    raised = _raised(error)
    assert type(raised) is Misconfigured
    assert "SECRET" not in str(raised)


@pytest.mark.parametrize("code", ["ValidationException", "ThrottlingException", "AccessDeniedException"])
def test_the_services_words_stay_behind(code: str) -> None:
    """A message of AWS may quote a key: neither our message nor a printed traceback shows it."""
    error = _raised(_client_error(code))
    assert "SECRET" not in str(error)
    assert "SECRET" not in "".join(traceback.format_exception(error))


def test_the_services_words_are_told_where_no_item_is_sent() -> None:
    """Why a table cannot be made says the service alone."""
    with pytest.raises(Misconfigured, match="SECRET"), translated("a", "b", carries_items=False):
        raise _client_error("ValidationException")


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            "Some values were invalid: Type mismatch for Index Key n Expected: N Actual: S IndexName: by-n",
            "C: Type mismatch for Index Key n Expected: N Actual: S IndexName: by-n",
        ),
        ("Item size has exceeded the maximum allowed size", "C: Item size has exceeded the maximum allowed size"),
        ("A value provided cannot be converted into a number: SECRET", "C"),
    ],
)
def test_of_a_refused_write_the_reason_is_told_and_no_value(message: str, told: str) -> None:
    """Attributes and indexes are named; what may quote a value stays behind."""
    assert with_reason("C", message) == told


def test_other_errors_pass_through() -> None:
    """A defect of ours is not dressed up as AWS's."""
    with pytest.raises(ZeroDivisionError), translated("a", "b"):
        raise ZeroDivisionError
