"""AWS errors by what happens next.

Only our own words and the error's code are passed on: the service's message may quote the value of a key.
"""

import re
import ssl
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ChecksumError,
    ClientError,
    ConnectionError,  # noqa: A004  # botocore's name for it; the builtin is not used here
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
    UnauthorizedSSOTokenError,
)
from botocore.parsers import ResponseParserError

from pipeline.aws.answers import NotFromAws
from pipeline.model.errors import Gap, IteratorExpired, Misconfigured, PipelineError, RetryLater

_LATER = frozenset(
    {
        "ConditionalRequestConflict",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServerErrorException",
        "KMSThrottlingException",
        "LimitExceededException",
        "OperationAborted",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ResourceInUseException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "Throttling",
        "ThrottledException",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_CLOCK = frozenset({"RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"})
_CLOCK_WORDS = ("Signature expired", "Signature not yet current")
"""How services that have no code for it say that the request's time is off."""
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "AccountProblem", "403"})
_MISSING = frozenset({"ResourceNotFoundException", "NoSuchBucket", "TableNotFoundException"})
_SERVER_ERROR = 500

_CREDENTIALS_ABSENT = (NoCredentialsError, PartialCredentialsError, UnauthorizedSSOTokenError)
_TRANSPORT = (
    ChecksumError,
    ConnectionError,
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    ResponseParserError,
)
"""No answer, half an answer, or one that is not AWS's: it may pass, and the call may have been carried out."""


_TELLING = re.compile(
    r"Type mismatch for (?:Index )?Key \S+ Expected: \w+ Actual: \w+(?: IndexName: \S+)?"
    r"|Item size has exceeded the maximum allowed size"
)
"""What of the message of a refused write is passed on: it names attributes and indexes, and no value."""


def code_of(error: ClientError) -> str:
    """Return the service's code of an error."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def with_reason(code: str, message: str) -> str:
    """Return a refused write's code, and of the service's message what names no value."""
    found = _TELLING.search(message)
    return f"{code}: {found[0]}" if found else code


@contextmanager
def translated(
    action: str,
    resource: str,
    *,
    missing_is_gap: bool = False,
    gap_codes: Collection[str] = (),
    carries_items: bool = True,
) -> Iterator[None]:
    """Turn botocore's errors of a block into ours; `action` is the IAM name of the call, `resource` what it is about.

    With `missing_is_gap` a resource that is not there means lost records; `gap_codes` are further codes that do. Where
    the call does not carry items, the service's own words are passed on.

    Raises:
        RetryLater: throttled, the service's fault, or the answer did not arrive; a write may have happened.
        IteratorExpired: the shard iterator is too old.
        Gap: the records asked for are trimmed, or, with `missing_is_gap`, their stream or shard is gone.
        Misconfigured: permissions, credentials, encryption keys, a missing resource, or a refused request.
    """
    try:
        yield
    except ClientError as error:
        # `from None`: a printed chain would show the service's message after all.
        gaps = {*gap_codes, *(_MISSING if missing_is_gap else ())}
        found = _from_service(error, action, resource, gaps)
        if not carries_items and type(found) is Misconfigured:
            found = Misconfigured(
                f"{found.reason}: {error.response.get('Error', {}).get('Message', '')}", hint=found.hint
            )
        raise found from None
    except _CREDENTIALS_ABSENT:
        raise Misconfigured(f"no AWS credentials for {action}", hint="see `aws sts get-caller-identity`") from None
    except NotFromAws:
        reason = f"{action} on {resource}: what answered is not AWS"
        raise RetryLater(reason, hint="does a proxy, or the login page of a network, stand in between?") from None
    except _TRANSPORT as error:
        if _is_untrusted(error):
            reason = f"{action} on {resource}: the certificate of the endpoint is not trusted"
            raise Misconfigured(
                reason, hint="is it AWS that answers? AWS_CA_BUNDLE names further authorities"
            ) from None
        asked = f" from {url}" if (url := getattr(error, "kwargs", {}).get("endpoint_url")) else ""
        reason = f"{action} on {resource}: no answer{asked} ({type(error).__name__})"
        raise RetryLater(reason, hint="is it reachable from here, and the region or AWS_ENDPOINT_URL right?") from None
    except BotoCoreError as error:
        reason = f"{action} on {resource}: {type(error).__name__}"
        raise Misconfigured(reason, hint="see the AWS settings of the environment") from None


def _from_service(error: ClientError, action: str, resource: str, gaps: Collection[str]) -> PipelineError:
    code = code_of(error)
    where = f"{action} on {resource}: {code}"
    if code == "ExpiredIteratorException":
        return IteratorExpired(where)
    if code == "TrimmedDataAccessException":
        return Gap(
            where, hint="records were removed before they were read; `fanout gaps list` tells what is known of it"
        )
    if code in gaps:
        return Gap(
            where,
            hint="the stream or shard is gone with what was not read; `fanout gaps list` tells what is known of it",
        )
    if code in _LATER or _status(error.response) >= _SERVER_ERROR:
        return RetryLater(where)
    if code in _CLOCK or any(words in str(error) for words in _CLOCK_WORDS):
        return Misconfigured(where, hint="set the clock of this machine: AWS refuses requests that are minutes off")
    return Misconfigured(where, hint=_hint(code, action, resource))


def _hint(code: str, action: str, resource: str) -> str:
    if code in _DENIED:
        return f"allow {action} on {resource}"
    if code in _CREDENTIALS:
        return "the AWS credentials are wrong, expired or of another account"
    if code.startswith("KMS"):
        return f"check the encryption key of {resource} and the permission to use it"
    if code in _MISSING:
        return f"{resource} does not exist in this region and account; `fanout setup` creates what is missing"
    return "the request was refused; `fanout check` looks for the usual causes"


def _is_untrusted(error: BaseException) -> bool:
    """Return True when a certificate was refused, which no waiting mends."""
    cause: BaseException | None = error if isinstance(error, SSLError) else None
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__context__
    return cause is not None


def _status(response: Any) -> int:
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
