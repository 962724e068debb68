"""The time of day: of tries, and of what is due. One place, so that tests can be a day later."""

import datetime


def now() -> datetime.datetime:
    """Return the time in UTC."""
    return datetime.datetime.now(datetime.UTC)


def utc_now() -> str:
    """Return the time as the attempts log has it: ISO 8601 with milliseconds and `Z`."""
    return now().isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
