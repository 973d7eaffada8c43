"""What an installation decides about all its CRMs: fields never to ask for, calls left to others.

Values only; the environment is read elsewhere.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Options:
    """The same for every CRM of an installation."""

    excluded_fields: tuple[str, ...] = ()
    """Patterns of `crm.object.field`, such as `hubspot.contacts.phone` or `*.Contact.*Email*`."""
    reserve: float = 0.1
    """Share of a daily allowance of API calls that is left to the organisation's other users."""
    token_folder: Path | None = None
    """Where tokens outlive a run, for CRMs that ration or rotate them; None: they do not."""

    def excludes(self, crm: str, object: str, field: str) -> bool:
        """Whether a field must never be requested."""
        name = f"{crm}.{object}.{field}".lower()
        return any(fnmatchcase(name, pattern.lower()) for pattern in self.excluded_fields)
