"""Tokens that outlive a run, for CRMs that ration or rotate them: one file, shared by all processes.

How a token is asked for, and when it is too old, is for the CRM modules.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from connectors.errors import ConfigurationError


class TokenFile:
    """A small file of secrets that only its owner may read; hold it `locked` from `load` to `save`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path.with_name(f"{path.name}.lock"))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all other threads and processes out; they wait."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._lock:
            yield

    def load(self) -> Mapping[str, str]:
        """What was saved last; empty if nothing was.

        Raises:
            ConfigurationError: the file holds something else.

        """
        try:
            tokens = json.loads(self.path.read_text())
        except FileNotFoundError:
            return {}
        except ValueError:
            tokens = None
        if not isinstance(tokens, dict) or not all(isinstance(value, str) for value in tokens.values()):
            raise ConfigurationError(f"{self.path} holds no tokens. Delete it, and authorise the app again.")
        return tokens

    def save(self, tokens: Mapping[str, str]) -> None:
        """Replace what is in the file, at once or not at all; it is on the disk when this returns."""
        handle, draft = tempfile.mkstemp(dir=self.path.parent, prefix=f"{self.path.name}.")
        with os.fdopen(handle, "w") as file:  # mkstemp made it readable for its owner alone
            json.dump(dict(tokens), file)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(self.path)
