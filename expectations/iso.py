"""The world's currencies and countries as tables that rules look at, made of the Unicode CLDR.

Codes and names only; what a currency is worth is in the rates that the company keeps.
"""

from datetime import date

from babel import Locale
from babel.core import get_global

from expectations.rule import Derived
from expectations.scratch import text

IN_USE_SINCE = date(2000, 1, 1)
"""A currency that was given up before has no place in a CRM."""
LANGUAGES = ("en", "de", "es", "fr", "it", "nl", "pt")
"""In which people write the names of countries."""
OTHER_NAMES = (
    "America",
    "Burma",
    "Cape Verde",
    "Czech Republic",
    "England",
    "Great Britain",
    "Holland",
    "Hong Kong",
    "Ivory Coast",
    "Macao",
    "Macau",
    "Macedonia",
    "Northern Ireland",
    "Palestine",
    "Republic of Korea",
    "Russian Federation",
    "Scotland",
    "Swaziland",
    "Taiwan",
    "The Netherlands",
    "Turkey",
    "United States of America",
    "Viet Nam",
    "Wales",
)
"""Names in everyday use that the CLDR does not list."""
NO_COUNTRIES = frozenset({"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"})


def _currencies() -> frozenset[str]:
    return frozenset(
        code
        for periods in get_global("territory_currencies").values()
        for code, _, ended, is_tender in periods
        if code and is_tender and (ended is None or date(*ended) >= IN_USE_SINCE)
    )


def _countries() -> frozenset[str]:
    """Names in several languages, two-letter codes, three-letter codes and the like."""
    codes = {code for code in map(str, Locale("en").territories) if code.isalpha()} - NO_COUNTRIES
    names = {str(Locale(language).territories.get(code, code)) for language in LANGUAGES for code in codes}
    others = {str(alias): meant for alias, meant in get_global("territory_aliases").items()}
    aliases = {alias for alias, meant in others.items() if alias.isalpha() and meant[0] in codes}
    return frozenset((*codes, *names, *aliases, *OTHER_NAMES))


def folded(value: str) -> str:
    """SQL that makes spellings of the same word equal: case, accents and blanks around it do not count."""
    return f"lower(strip_accents(trim({value})))"


def _table(name: str, column: str, words: frozenset[str], reading: str) -> Derived:
    values = ", ".join(f"({text(word)})" for word in sorted(words))
    return Derived(name=name, sql=f"select distinct {reading} as {column} from (values {values}) as word (value)")


ISO_CURRENCIES = _table("iso_currencies", "code", _currencies(), "word.value")
COUNTRIES = _table("countries", "name", _countries(), folded("word.value"))
