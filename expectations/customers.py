"""When an account, contact or lead breaks a rule, said once for all CRMs, in words that each of them translates.

A word is SQL on a landed row, called `record`. Duplicates are looked for within one CRM; across CRMs they are matched
elsewhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from expectations.catalogue import (
    ACCOUNT_HAS_NAME,
    ACTIVITY_HAS_PARENT,
    CONTACT_EMAIL_VALID,
    CONTACT_HAS_ACCOUNT,
    COUNTRY_VALID,
    LEAD_EMAIL_VALID,
    LEAD_HAS_STATUS,
    NO_DUPLICATE,
    PHONE_VALID,
)
from expectations.iso import COUNTRIES, folded
from expectations.rule import Derived, Rule

LEGAL_FORMS = (
    "ab|ag|as|bv|co|company|corp|corporation|de cv|gmbh|inc|incorporated|kg|kk|lda|limited|llc|llp|ltd|ltda|nv|oy|plc"
    "|pte|pty|sa|sarl|sas|sl|spa|srl"
)
ALIKE = 0.85
"""How alike, from 0 to 1, two names on one web domain must be: a group's subsidiaries share one as well."""
PHONE_DIGITS = (7, 15)
"""A local number at least; E.164 allows no more."""
HOURS_WITHOUT_STATUS = 24


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """A CRM's words for accounts."""

    name: str
    has_no_name: str
    website: str
    parent: str
    country: str
    created_at: str
    is_merged: str = "false"
    """Whether it is the rest of a duplicate that was found already."""


@dataclass(frozen=True, kw_only=True)
class Contacts:
    """A CRM's words for contacts."""

    first_name: str
    last_name: str
    email: str
    phone: str
    account: str
    accounts: str
    """The stream of accounts."""
    accounts_key: str
    created_at: str
    is_merged: str = "false"


@dataclass(frozen=True, kw_only=True)
class Leads:
    """A CRM's words for leads."""

    person: str
    """Name of the person and the company, as one text."""
    status: str
    created_at: str
    is_done: str
    """Whether it was converted or merged."""
    email: str | None = None
    country: str | None = None


def account_rules(accounts: Accounts) -> Iterator[Rule]:
    """All rules on the records of a stream of accounts."""
    yield ACCOUNT_HAS_NAME.fails_when(accounts.has_no_name)
    yield _country_valid(accounts.country)
    yield NO_DUPLICATE.fails_for_later(_double_accounts(accounts))


def contact_rules(contacts: Contacts) -> Iterator[Rule]:
    """All rules on the records of a stream of contacts."""
    yield CONTACT_EMAIL_VALID.fails_when(f"not is_email({contacts.email})")
    yield PHONE_VALID.fails_when(
        f"not regexp_full_match({contacts.phone}, '[+]?[-0-9 ()./]+( ?(x|ext[.]?) ?[0-9]+)?', 'i')"
        f" or length({_digits(contacts.phone)}) not between {PHONE_DIGITS[0]} and {PHONE_DIGITS[1]}"
    )
    yield CONTACT_HAS_ACCOUNT.fails_when(
        f"not {contacts.is_merged} and not exists (select 1 from {contacts.accounts} as account"
        f" where account.{contacts.accounts_key} = {contacts.account})",
        looks_up=(contacts.accounts,),
    )
    yield NO_DUPLICATE.fails_for_later(_double_contacts(contacts))


def lead_rules(leads: Leads) -> Iterator[Rule]:
    """All rules on the records of a stream of leads."""
    yield LEAD_HAS_STATUS.fails_when(
        f"{leads.status} is null and coalesce({leads.created_at}"
        f" <= as_instant(record._synced_at) - interval {HOURS_WITHOUT_STATUS} hour, true)"
    )
    if leads.email:
        yield LEAD_EMAIL_VALID.fails_when(f"not is_email({leads.email})")
    if leads.country:
        yield _country_valid(leads.country)
    yield NO_DUPLICATE.fails_for_later(_double_leads(leads))


def activity_has_parent(
    *parents: tuple[str, str, str], needs: tuple[str, ...], is_about_something_else: str = "false"
) -> Rule:
    """The rule on a stream of activities; a parent is what refers to it, its stream and that one's key."""
    unknown = (
        f"not coalesce({reference} in (select {stream}.{key} from {stream}), false)"
        for reference, stream, key in parents
    )
    return ACTIVITY_HAS_PARENT.fails_when(
        " and ".join((f"not {is_about_something_else}", *unknown)),
        looks_up=tuple(stream for _, stream, _ in parents),
        needs=needs,
    )


def _country_valid(country: str) -> Rule:
    return COUNTRY_VALID.fails_when(
        f"{country} is not null and {folded(country)} not in (select name from {COUNTRIES.name})", COUNTRIES
    )


def _digits(phone: str) -> str:
    return f"regexp_replace(regexp_replace({phone}, '[a-z].*', '', 'i'), '[^0-9]', '', 'g')"


def company_name(name: str) -> str:
    """SQL for the part of a company's name that tells it from others: no legal form, no brackets, no punctuation."""
    plain = f"regexp_replace(regexp_replace({folded(name)}, '[(].*?[)]', ' ', 'g'), '[.''’]', '', 'g')"
    words = f"regexp_replace({plain}, '[^[:alnum:]]+', ' ', 'g')"
    return f"trim(regexp_replace(trim({words}), '^the |( ({LEGAL_FORMS}))+$', '', 'g'))"


def _domain(website: str) -> str:
    return f"nullif(regexp_extract(lower(trim({website})), '^(?:https?://)?(?:www[.])?([^/:?#]+)', 1), '')"


def _double_accounts(accounts: Accounts) -> Derived:
    """Accounts of one name, or of one web domain and much the same name, unless one is the other's parent."""
    unrelated = "earlier.key is distinct from later.parent and later.key is distinct from earlier.parent"
    alike = "jaro_winkler_similarity(earlier.name, later.name)"
    return _pairs(
        "double_accounts",
        f"""
            select record._key as key, {accounts.created_at} as created_at, {accounts.parent} as parent,
                nullif({company_name(accounts.name)}, '') as name, {_domain(accounts.website)} as domain
            from live as record where not {accounts.is_merged}
        """,
        same={"name": unrelated, "domain": f"{unrelated} and {alike} >= {ALIKE}"},
    )


def _double_contacts(contacts: Contacts) -> Derived:
    """Contacts of one e-mail address, of one phone number and name, or of one account and name but for an initial."""
    initial = (
        "(earlier.first_name <> later.first_name and left(earlier.first_name, 1) = left(later.first_name, 1)"
        " and 1 in (length(earlier.first_name), length(later.first_name)))"
    )
    first = folded(contacts.first_name)
    return _pairs(
        "double_contacts",
        f"""
            select record._key as key, {contacts.created_at} as created_at, {folded(contacts.email)} as email,
                rtrim({first}, '.') as first_name,
                case when length({_digits(contacts.phone)}) >= {PHONE_DIGITS[0]}
                    then {_digits(contacts.phone)} || ' ' || {folded(contacts.last_name)} end as phone_and_name,
                {contacts.account} || ' ' || {folded(contacts.last_name)} as account_and_name
            from live as record where not {contacts.is_merged}
        """,
        same={
            "email": "true",
            "phone_and_name": f"({initial} or earlier.first_name = later.first_name)",
            "account_and_name": initial,
        },
    )


def _double_leads(leads: Leads) -> Derived:
    """Leads of one e-mail address, or of one name at one company, that are still being worked on."""
    return _pairs(
        "double_leads",
        f"""
            select record._key as key, {leads.created_at} as created_at, {folded(leads.person)} as person,
                {folded(leads.email) if leads.email else "null"} as email
            from live as record where not {leads.is_done}
        """,
        same={"person": "true", "email": "true"},
    )


def _pairs(name: str, candidates: str, *, same: Mapping[str, str]) -> Derived:
    """Each record that shares a column with an older one, and a condition with that, with the oldest such record."""
    matches = " union ".join(
        "select later.key, earlier.key as other_key, earlier.created_at as since from candidates as later"
        f" join candidates as earlier on earlier.{column} = later.{column}"
        f" and (earlier.created_at, earlier.key) < (later.created_at, later.key) and {only_if}"
        for column, only_if in same.items()
    )
    return Derived(
        name=name,
        sql=f"with candidates as ({candidates}), matches as ({matches})"
        " select key, arg_min(other_key, (since, other_key)) as other_key from matches group by key",
    )
