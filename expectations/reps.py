"""When a user or a quota breaks a rule, said once for all CRMs, in words that each of them translates.

A word is SQL on a landed row, called `record`, or a derived table with the columns that its description names.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from expectations.catalogue import (
    NO_MANAGER_CYCLE,
    ONE_MANAGER_AT_A_TIME,
    ONE_QUOTA_AT_A_TIME,
    REP_HAS_MANAGER,
    REP_HAS_QUOTA,
)
from expectations.rule import Derived, Rule

MOST_LEVELS = 30
"""Of a hierarchy; a cycle is found long before."""


@dataclass(frozen=True, kw_only=True)
class Hierarchy:
    """A CRM's words for who leads whom."""

    person: str
    """By which others name this one as their manager."""
    manager: str
    email: str
    is_active: str
    sellers: Derived
    """Those who own deals or have quotas: `person`."""
    looks_up: tuple[str, ...] = ()
    """Streams by which `is_active` is understood."""


@dataclass(frozen=True, kw_only=True)
class Employment:
    """A CRM's words for when somebody was at work."""

    person: str
    """By which quotas name their owner."""
    since: str
    until: str
    """A day; null: still here."""
    quotas: Derived
    """`owner`, `starts_on`, `ends_on`."""


def hierarchy_rules(people: Hierarchy) -> Iterator[Rule]:
    """The rules on a stream that says who leads whom."""
    everybody = f"""
        select record._key as key, {people.person} as person, {people.manager} as manager,
            lower(trim({people.email})) as email, {people.is_active} as is_active
        from live as record
    """
    yield REP_HAS_MANAGER.fails_for(_unmanaged(everybody, people), needs=(*people.looks_up, *people.sellers.looks_up))
    yield NO_MANAGER_CYCLE.fails_for(_cycles(everybody, people))
    yield ONE_MANAGER_AT_A_TIME.fails_for_later(_overlaps(everybody, people))


def _unmanaged(everybody: str, people: Hierarchy) -> Derived:
    """Those who left count: what they sold is still rolled up. Silent where the CRM keeps no managers at all."""
    return Derived(
        name="unmanaged_people",
        sql=f"""
            with everybody as ({everybody}), sellers as ({people.sellers.sql})
            select everybody.key from everybody
            where (everybody.manager is null or everybody.manager not in (select person from everybody))
                and everybody.person in (select person from sellers)
                and everybody.person not in (select manager from everybody where manager is not null)
                and exists (select 1 from everybody where manager is not null)
        """,
        looks_up=(*people.looks_up, *people.sellers.looks_up),
    )


def _cycles(everybody: str, people: Hierarchy) -> Derived:
    return Derived(
        name="manager_cycles",
        sql=f"""
            with recursive everybody as ({everybody}),
            climb (key, person, manager, levels) as (
                select key, person, manager, 1 from everybody where manager is not null
                union all
                select climb.key, climb.person, everybody.manager, climb.levels + 1
                from climb join everybody on everybody.person = climb.manager
                where everybody.manager is not null and climb.manager <> climb.person and climb.levels < {MOST_LEVELS}
            )
            select distinct key from climb where manager = person
        """,
        looks_up=people.looks_up,
    )


def _overlaps(everybody: str, people: Hierarchy) -> Derived:
    return Derived(
        name="people_with_two_managers",
        sql=f"""
            with everybody as ({everybody})
            select later.key, min(earlier.key) as other_key
            from everybody as later
            join everybody as earlier
                on earlier.email = later.email and earlier.key < later.key and earlier.manager <> later.manager
            where earlier.is_active and later.is_active
            group by later.key
        """,
        looks_up=people.looks_up,
    )


def rep_has_quota(work: Employment) -> Rule:
    """The rule on a stream that says when people were at work: from the first quota on, no day without one.

    Only days for which anybody has a quota count, and only people who have had one themselves.
    """
    missing = Derived(
        name="people_without_quota",
        sql=f"""
            with quotas as ({work.quotas.sql}),
            known as (select min(starts_on) as starts_on, least(max(ends_on), as_of()) as ends_on from quotas),
            work as (
                select record._key as key, {work.person} as person,
                    greatest({work.since}, known.starts_on) as starts_on, least({work.until}, known.ends_on) as ends_on
                from live as record cross join known
            ),
            covered as (
                select work.key, work.starts_on, work.ends_on, quotas.starts_on as covered_from,
                    max(quotas.ends_on) over (
                        partition by work.key order by quotas.starts_on
                        rows between unbounded preceding and 1 preceding
                    ) as covered_until,
                    max(quotas.ends_on) over (partition by work.key) as covered_last
                from work join quotas on quotas.owner = work.person
            )
            select distinct key from covered
            where least(covered_from, ends_on + 1) > greatest(covered_until + 1, starts_on) or covered_last < ends_on
        """,
        looks_up=work.quotas.looks_up,
    )
    return REP_HAS_QUOTA.fails_for(missing)


def one_quota_at_a_time(*, owner: str, kind: str, starts_on: str, ends_on: str, looks_up: tuple[str, ...] = ()) -> Rule:
    """The rule on a stream of quotas: those of one owner and kind do not overlap.

    One that overlaps nothing but a quota that should not be there itself is right, so each is held against the last
    that was.
    """
    overlapping = Derived(
        name="overlapping_quotas",
        sql=f"""
            with recursive quotas as (
                select record._key as key, {ends_on} as ends_on, {starts_on} as starts_on, {owner} as owner,
                    coalesce({kind}, '') as kind
                from live as record
            ),
            numbered as (
                select *, row_number() over (partition by owner, kind order by starts_on, key) as place from quotas
                where owner is not null and starts_on <= ends_on
            ),
            accepted (owner, kind, place, key, until, rejected) as (
                select owner, kind, place, key, ends_on, null::varchar from numbered where place = 1
                union all
                select numbered.owner, numbered.kind, numbered.place,
                    case when numbered.starts_on > accepted.until then numbered.key else accepted.key end,
                    case when numbered.starts_on > accepted.until then numbered.ends_on else accepted.until end,
                    case when numbered.starts_on <= accepted.until then numbered.key end
                from accepted
                join numbered
                    on numbered.owner = accepted.owner
                    and numbered.kind = accepted.kind
                    and numbered.place = accepted.place + 1
            )
            select rejected as key, key as other_key from accepted where rejected is not null
        """,
        looks_up=looks_up,
    )
    return ONE_QUOTA_AT_A_TIME.fails_for_later(overlapping)
