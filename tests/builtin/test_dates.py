"""Dates as documents write them."""

from __future__ import annotations

import pytest

from ragkit.conversion.dates import iso_date


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2024-05-06", "2024-05-06"), ("2024-05-06T07:08:09Z", "2024-05-06T07:08:09+00:00"), ("2024", "2024"),
        ("2024-05", "2024-05"),
        ("May 6, 2024", "2024-05-06"), ("6 May 2024", "2024-05-06"), ("06.05.2024", "2024-05-06"), ("2024/05/06", "2024-05-06"),
        ("Mon, 06 May 2024 07:08:09 +0200", "2024-05-06T07:08:09+02:00"), ("06/05/2024", ""), ("soon", ""), ("", ""), (None, ""),
    ],
)  # fmt: skip
def test_dates(written: object, read: str) -> None:
    assert iso_date(written) == read
