"""The time of day: of tries, and of what is due. One place, so that tests can be a day later."""

import datetime


def now() -> datetime.datetime:
    """Return the time in UTC."""
    return datetime.datetime.now(datetime.UTC)
