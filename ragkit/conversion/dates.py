"""Dates as documents write them."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime

_FORMS = (
    "%Y/%m/%d", "%d.%m.%Y", "%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%d %b %Y", "%a, %d %b %Y %H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S %Z",
)  # fmt: skip
_NUMBER = re.compile(r"-?\d{1,20}(\.\d*)?")
_UTC = re.compile(r" ?(UTC|GMT)\Z")
_HOURS = re.compile(r"%[HIcXTs]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_SECONDS = 1e11
_PARTIAL = re.compile(r"(\d{4})(?:-(0[1-9]|1[0-2]))?")


def iso_date(value: object) -> str:
    """A date, or date and time, in ISO 8601; nothing for what cannot be read as one.

    `2024` and `2024-05` stay as they are: they are ISO 8601 too, and sort with the others. What could be read two ways
    (`03/04/2024`) is not read.
    """
    if isinstance(value, date):
        return value.isoformat()
    written = " ".join(str(value or "").split())
    if _PARTIAL.fullmatch(written):
        return written
    with suppress(ValueError):  # it may have another form
        return (datetime if len(written) > len("2024-05-01") else date).fromisoformat(written).isoformat()
    for form in _FORMS:
        try:
            read = datetime.strptime(written, form)  # noqa: DTZ007 - a day has no time zone
        except ValueError:
            continue
        return read.isoformat() if "%H" in form else read.date().isoformat()
    return ""


def moment(value: object, form: str | None = None) -> str:
    """As `iso_date`, also of what machines write: seconds, milliseconds, micro- or nanoseconds since 1970, and RFC 2822.

    `form`, as for `strptime`, is then the only one that a text may have.
    """
    written = " ".join(str(value).split())
    if form is not None:
        return _in_form(written, form)
    if _NUMBER.fullmatch(written):
        number = float(written)
        compact = written if len(written) == len("20240501") and written[:2] in ("19", "20") else ""
        return iso_date(written if len(written) == len("2024") else compact) or _since_1970(number)
    found = iso_date(_UTC.sub("+00:00", written))
    if found:
        return found
    try:
        return parsedate_to_datetime(written).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""


def _in_form(written: str, form: str) -> str:
    try:
        read = datetime.strptime(written, form)  # noqa: DTZ007 - a date may have no time zone
    except ValueError:
        return ""
    return read.isoformat() if _HOURS.search(form) else read.date().isoformat()


def _since_1970(number: float) -> str:
    """A moment whose unit is told by its size: until the year 5138 seconds have at most 11 digits."""
    for _ in range(3):
        number = number / 1000 if abs(number) >= _MAX_SECONDS else number
    try:
        return (_EPOCH + timedelta(seconds=number)).isoformat()
    except (OverflowError, ValueError):
        return ""
