"""Which fields of a CRM record tell of a person, and what is shown in their place.

Patterns and one shape-keeping mask; who shows what to whom is for the report and the command line.
"""

import json
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

PEOPLE = frozenset({"users", "systemusers", "owners", "contacts", "leads"})
"""Streams whose records are people, so that a plain `Name` is the name of one."""

_PRIVATE = re.compile(
    r"""
      mail | phone | mobile | skype | twitter | linkedin | instantmessag
    | (first|last|middle|full|nick|given|family|maiden|sur|lead|user|spouses?|assistant)_?name
    | birth | anniversary
    | address | street | postal | mailing
    | (^|_)(zip|city|fax|dob|ssn|passport|iban|gender|salutation|pager)(_|\d|$) | governmentid | social_?security
    | latitude | longitude
    """,
    re.VERBOSE,
)
_SHOWN = re.compile(r"country|opt_?(ed_?)?out|bounced_date|(^|_)id$")
"""What the patterns above would take along, although it tells nothing of a person that a steward may not see."""
_PERSON_LOOKUP = re.compile(r"owner|contact|person|created_by|modified_by|reporting_to|manager|(^|_)user$|^who$")
"""Fields that hold a reference to a person as an object, with that person's name in it."""

_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_ADDRESS_IN_TEXT = re.compile(r"[^\s@<>()\"',;:]+@[^\s@<>()\"',;:]+")


def is_private(field: str, *, crm: str = "*", stream: str = "", private: Sequence[str] = ()) -> bool:
    """Whether a field's value may only be shown masked; `private` adds patterns of `crm.stream.field`."""
    place = f"{crm}.{stream}.{field}".lower()
    if any(fnmatchcase(place, pattern.lower()) for pattern in private):
        return True
    words = _words(field)
    if stream in PEOPLE and words in ("name", "username", "domainname"):
        return True
    return bool(_PRIVATE.search(words)) and not _SHOWN.search(words)


def mask(field: str, value: Any, *, crm: str = "*", stream: str = "", private: Sequence[str] = ()) -> Any:
    """Give the value as it may be shown: as it is, or its shape alone where it tells of a person.

    The shape keeps what a steward has to see (that an address lacks its @, that a number has a letter in it):
    letters become x, digits 9. Objects and lists, also such as landed as JSON text, are masked within; an e-mail
    address in a free text is masked wherever it stands.
    """
    if value is None:
        return None
    if is_private(field, crm=crm, stream=stream, private=private):
        return _shape(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
    within = "contacts" if _PERSON_LOOKUP.search(_words(field)) else ""
    if isinstance(value, Mapping):
        return {
            name: mask(name, part, crm=crm, stream=within or stream, private=private) for name, part in value.items()
        }
    if isinstance(value, list):
        return [mask(field, part, crm=crm, stream=stream, private=private) for part in value]
    if isinstance(value, str):
        nested = _nested(value)
        if nested is not None:
            shown = mask(field, nested, crm=crm, stream=stream, private=private)
            return json.dumps(shown, ensure_ascii=False)
        return mask_text(value)
    return value


def mask_text(text: str) -> str:
    """Mask the e-mail addresses in a text."""
    return _ADDRESS_IN_TEXT.sub(lambda found: _shape(found.group()), text)


def _words(field: str) -> str:
    return _WORD_BREAK.sub("_", field).strip("_").lower()


def _shape(text: str) -> str:
    return "".join("x" if mark.isalpha() else "9" if mark.isdigit() else mark for mark in text)


def _nested(text: str) -> dict[str, Any] | list[Any] | None:
    if not text.startswith(("{", "[")):
        return None
    try:
        nested = json.loads(text)
    except ValueError:
        return None
    return nested if isinstance(nested, dict | list) else None
