"""Many keys in one parameter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, LargeBinary, MetaData, Table, create_engine, insert, select
from sqlalchemy.dialects import postgresql

from ragkit.state.among import among, joined

THINGS = Table("things", MetaData(), Column("id", LargeBinary(16), primary_key=True))
QUERY = select(THINGS.c.id).where(among(THINGS.c.id))
HELD = [bytes([number]) * 16 for number in range(256)]


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with create_engine("sqlite://").connect() as opened:
        THINGS.create(opened)
        opened.execute(insert(THINGS), [{"id": key} for key in HELD])
        yield opened


@given(keys=st.lists(st.one_of(st.sampled_from(HELD), st.binary(min_size=16, max_size=16)), max_size=50))
def test_those_that_are_there_are_found_once(connection: Connection, keys: list[bytes]) -> None:
    found = connection.execute(QUERY, {"keys": joined(keys)}).scalars().all()
    assert sorted(found) == sorted(set(keys) & set(HELD))


def test_more_keys_than_a_statement_takes_parameters(connection: Connection) -> None:
    strangers = (number.to_bytes(16, "big") for number in range(1, 100_000))
    assert set(connection.execute(QUERY, {"keys": joined([*HELD, *strangers])}).scalars()) == set(HELD)


def test_an_index_is_used(connection: Connection) -> None:
    plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {QUERY.compile(connection)}", (b"", b"")).all()
    assert any("SEARCH things USING" in row[-1] for row in plan)


def test_postgresql_understands_it_too() -> None:
    assert "things.id IN (WITH RECURSIVE" in str(QUERY.compile(dialect=postgresql.dialect()))
