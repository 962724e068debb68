"""Every error that melstream raises on purpose.

    MelstreamError
    ├── ConfigError               a setting is wrong; said before work starts
    ├── StorageError              a store can't do what was asked: missing, denied, full, in the way
    │   ├── TransientStorageError may succeed when tried again; nothing else may be retried
    │   │   ├── ThrottledError    the store asks for fewer requests
    │   │   └── ReplacedError     an object changed while it was read; what was read is void
    │   ├── OtherContentError     the name is taken by an object of other content
    │   └── ReadOnlyError         a web server can't be listed or written to
    ├── ShardFormatError          bytes don't follow the shard format; names shard, key and offset
    ├── AudioError                a clip's bytes are not audio that can be used; carries the reason
    ├── ErrorBudgetError          more samples can't be read than `error_budget` allows
    ├── GroupStraddlesError       a speaker or recording would lie in two splits, and may not
    └── LoaderStateError          a saved loader state doesn't fit this run

A wrong argument of a Python call is a plain `ValueError`. A clip that fails inside a job is a
`Rejection` value (see `shardwriter.schema`), not an exception.
"""


class MelstreamError(Exception):
    """Base of all errors that carry a message meant for the user."""


class ConfigError(MelstreamError):
    """A setting is wrong, or two settings clash."""


class StorageError(MelstreamError):
    """A store refused or failed; the message names the object and the way out."""


class TransientStorageError(StorageError):
    """A store failed in a way that may pass: time-out, reset, throttling."""


class ThrottledError(TransientStorageError):
    """A store asked to be asked less: 503 SlowDown, 429 and their like."""


class ReplacedError(TransientStorageError):
    """An object is another one than when reading it began: to go on would mix the two."""


class OtherContentError(StorageError):
    """An object of other content has the name already, and objects are never replaced."""


class ReadOnlyError(StorageError):
    """A store that can only be read by name, as a web server, was asked for more."""


class ShardFormatError(MelstreamError):
    """Bytes in a dataset don't follow the shard format."""


class ErrorBudgetError(MelstreamError):
    """More samples of an epoch are lost or damaged than the run may do without."""


class AudioError(MelstreamError):
    """Encoded audio that can't be used; `reason` is the value of a `RejectionReason`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class GroupStraddlesError(MelstreamError):
    """A group would lie in two splits, which the writer was told to refuse."""

    def __init__(self, *, group: str, key: str, split: str, other_split: str) -> None:
        super().__init__(
            f"clip {key!r} of split {split!r} belongs to group {group!r}, which has clips in split "
            f"{other_split!r}: testing on it would be testing on what was trained on; move the "
            "group to one split, or choose the group rule 'report' where the leak is known"
        )
        self.group = group
        self.key = key
        self.splits = (other_split, split)


class LoaderStateError(MelstreamError):
    """A saved loader state belongs to another dataset, split, seed or version."""
