"""botocore's errors as ours: which may pass, which are final, and what the user can do.

Messages hold the store's error code and the object's URL. Credentials, request headers and signed
URLs never enter them.
"""

import contextlib
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from botocore import exceptions as boto

from shardwriter.errors import (
    ConfigError,
    MelstreamError,
    StorageError,
    ThrottledError,
    TransientStorageError,
)

PRECONDITION_FAILED = 412
NOT_FOUND = 404

# Answers to HEAD have no body, so that their code is the status: 400 is an expired token.
_DENIED = frozenset(
    {
        "400", "401", "403", "AccessDenied", "AccountProblem", "AllAccessDisabled", "ExpiredToken",
        "Forbidden", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch",
        "TokenRefreshRequired", "Unauthorized", "UnauthorizedAccess",
    }
)  # fmt: skip
_TRANSIENT = frozenset(
    {
        "BadDigest", "ConditionalRequestConflict", "IncompleteBody", "InternalError",
        "OperationAborted", "RequestTimeout", "XAmzContentSHA256Mismatch",
    }
)  # fmt: skip
_THROTTLED = frozenset(
    {
        "RequestLimitExceeded", "RequestThrottled", "ServiceUnavailable", "SlowDown", "Throttling",
        "ThrottlingException", "TooManyRequests",
    }
)  # fmt: skip
_EXPIRED = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "TokenRefreshRequired"}
)
_ELSEWHERE = frozenset(
    {"301", "307", "AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect"}
)
_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.RefreshWithMFAUnsupportedError,
    boto.SSOError,
    boto.TokenRetrievalError,
    boto.MetadataRetrievalError,
)
_SETTINGS = (
    boto.ProfileNotFound,
    boto.ConfigNotFound,
    boto.ConfigParseError,
    boto.DataNotFoundError,
    boto.InvalidConfigError,
    boto.NoRegionError,
    boto.InvalidRegionError,
    boto.UnsupportedS3ConfigurationError,
)


def error_code(error: boto.ClientError) -> str:
    """Return the store's code, e.g. `NoSuchKey`; for answers without a body the status."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def error_status(error: boto.ClientError) -> int:
    """Return the HTTP status of the store's answer."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def has_expired(error: boto.ClientError) -> bool:
    """Tell whether the store refused credentials that may have been good before."""
    return error_code(error) in _EXPIRED


def is_for_boto3(error: boto.ClientError) -> bool:
    """Tell whether boto3 knows a way on: another region, or credentials read anew."""
    return has_expired(error) or error_code(error) in _ELSEWHERE


@contextlib.contextmanager
def reporting(where: str) -> Iterator[None]:
    """Raise botocore's errors as ours; `where` is the URL of the object or store."""
    try:
        yield
    except (boto.ClientError, boto.BotoCoreError) as err:
        raise as_ours(err, where=where) from err


def as_ours(error: Exception, *, where: str) -> MelstreamError:
    """Return the error of ours that says the same.

    Args:
        error: botocore's, or of the standard library's sockets and HTTP client.
        where: The URL of the object or store.
    """
    if isinstance(error, boto.ClientError):
        return _answered(error, where=where)
    if isinstance(error, _CREDENTIALS):
        return StorageError(
            f"{where}: no usable credentials ({type(error).__name__}); set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY or a profile, or read a public bucket anonymously"
        )
    if isinstance(error, _SETTINGS):
        return ConfigError(f"{where}: {error}; mend AWS_PROFILE, --profile or ~/.aws/config")
    if isinstance(error, boto.SSLError | ssl.SSLCertVerificationError):
        return StorageError(
            f"{where}: the secure connection was refused; is the endpoint https, and AWS_CA_BUNDLE "
            "its certificate?"
        )
    if isinstance(error, boto.ParamValidationError | boto.InvalidDNSNameError):
        return StorageError(f"{where}: can't be asked of S3: {error}")
    # What is left are connections: refused, timed out, reset, cut, or answers that are no S3.
    return TransientStorageError(
        f"{where}: {type(error).__name__}; is the endpoint{_endpoint(error)} reachable? Run again "
        "to go on"
    )


def _endpoint(error: Exception) -> str:
    """Return the host that could not be reached: no path, query or user, which may be secret."""
    url = urlsplit(str(getattr(error, "kwargs", {}).get("endpoint_url", "")))
    if url.hostname is None:
        return ""
    return f" {url.scheme}://{url.hostname}" + ("" if url.port is None else f":{url.port}")


def _answered(error: boto.ClientError, *, where: str) -> StorageError:
    code, status = error_code(error), error_status(error)
    shown = code if code == str(status) else f"{code}, {status}"
    if code == "NoSuchBucket":
        return StorageError(f"{where}: there is no such bucket; make it, or check URL and endpoint")
    if code in _THROTTLED or status in (429, 503):
        return ThrottledError(
            f"{where}: the store answered {shown}, at the last attempt too; run again to go on"
        )
    if code in _TRANSIENT or status in (500, 502, 504):
        return TransientStorageError(
            f"{where}: the store answered {shown}, at the last attempt too; run again to go on"
        )
    if status == NOT_FOUND or code == "NoSuchKey":
        return StorageError(f"{where} is not there")
    if code in _DENIED or status in (401, 403):
        return StorageError(
            f"{where}: denied ({shown}); check the credentials, their rights on the bucket and "
            "the endpoint. Where listing is denied too, S3 says so of objects that are not there"
        )
    if code in _ELSEWHERE:
        return StorageError(f"{where}: the bucket is in another region ({shown}); set AWS_REGION")
    if code == "RequestTimeTooSkewed":
        return StorageError(f"{where}: this machine's clock is wrong ({shown}); set it")
    message = error.response.get("Error", {}).get("Message", "")
    return StorageError(f"{where}: the store answered {shown}: {message}")
