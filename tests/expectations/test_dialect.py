"""The buffered dialect: results outlive the rollback that comes with giving a connection back."""

import sqlalchemy as sa

from expectations import dialect


def test_a_result_can_be_read_after_its_connection_went_back() -> None:
    dialect.register()
    engine = sa.create_engine("duckdb+buffered:///:memory:")
    with engine.connect() as connection:
        result = connection.connection.cursor()
        result.execute("select i from range(5) as numbers(i)")
    assert result.fetchone() == (0,)
    assert result.fetchmany(2) == [(1,), (2,)]
    assert result.fetchall() == [(3,), (4,)]
    assert result.fetchone() is None
    engine.dispose()


def test_rows_carry_their_names_and_parameters_are_bound() -> None:
    dialect.register()
    engine = sa.create_engine("duckdb+buffered:///:memory:")
    with engine.connect() as connection:
        row = connection.execute(sa.text("select :day as day, 2 as number"), {"day": "Friday"}).one()
    assert (row.day, row.number) == ("Friday", 2)
    engine.dispose()


def test_times_are_shown_in_utc_whatever_the_machine_is_set_to() -> None:
    dialect.register()
    engine = sa.create_engine("duckdb+buffered:///:memory:")
    with engine.connect() as connection:
        assert connection.execute(sa.text("select current_setting('timezone')")).scalar_one() == "UTC"
    engine.dispose()
