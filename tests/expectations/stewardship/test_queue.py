"""The queues: what the gates open and close, what stewards may do, and that two of them cannot do it at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from desk import FIRST_NIGHT, Desk, checked
from sqlalchemy import insert, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from expectations.rule import Severity, Status
from expectations.stewardship import tables
from expectations.stewardship.incidents import Filter, acknowledge, assign, get, number_of, resolve
from expectations.stewardship.intake import Look, Pair, Place, propose_duplicates, record_gate
from expectations.stewardship.lifecycle import Deed, Incident, Queue, Reason, Refused, State
from expectations.stewardship.state import StateUnusable, open_state, writing

MORNING = FIRST_NIGHT + timedelta(hours=7)


def deed(by: str = "ann", comment: str | None = "seen in the CRM", at: datetime = MORNING) -> Deed:
    return Deed(by, at, comment)


def test_a_gate_opens_one_incident_for_each_rule_and_record_and_does_so_once(desk: Desk) -> None:
    desk.night("a", "b", {"key": "a", "rule": "won_has_owner"}, {"key": "c", "state": "noted"})
    desk.night("a", "b", {"key": "a", "rule": "won_has_owner"}, {"key": "d", "state": "superseded"})
    opened = {(one.rule, one.key) for one in desk.incidents(also_resolved=True)}
    assert opened == {("won_has_amount", "a"), ("won_has_amount", "b"), ("won_has_owner", "a")}
    assert desk.actions() == ["opened"] * 3
    (first,) = desk.incidents(key="b")
    assert (first.queue, first.state, first.version, first.opened_run) == ("records", "new", "b-v1", "run1")
    assert first.occurred_at == datetime(2026, 7, 31, 8, tzinfo=UTC)
    assert (first.opened_at, first.last_seen_at) == (FIRST_NIGHT, FIRST_NIGHT + timedelta(days=1))
    assert first.due_at == FIRST_NIGHT + timedelta(days=5)


def test_what_the_gate_finds_no_more_is_closed_and_what_breaks_again_is_opened_anew(desk: Desk) -> None:
    desk.night("a", "b")
    desk.night("b")
    (healed,) = desk.incidents(state=State.RESOLVED)
    assert (healed.key, healed.resolution, healed.resolved_at) == ("a", "Healed", desk.now)
    assert (desk.actions()[-1], desk.actions("actor")[-1], desk.actions("run_id")[-1]) == ("resolved", "attain", "run2")
    desk.night("a", "b")
    assert [one.id for one in desk.incidents(key="a", also_resolved=True)] == [1, 3]
    assert [one.state for one in desk.incidents()] == [State.NEW, State.NEW]


def test_the_same_gate_twice_is_no_second_incident_and_a_record_mended_in_between_is_closed(desk: Desk) -> None:
    result = desk.night("a", "b")
    record_gate(desk.engine, desk.home, result, desk.now)
    assert desk.actions() == ["opened"] * 2
    desk.nights -= 1  # the step is tried again, in the same run
    path = desk.home / "quality" / "quarantine" / "salesforce" / "opportunities.parquet"
    path.unlink()
    desk.night("b")
    assert [one.key for one in desk.incidents()] == ["a", "b"], "a look at the very same instant is the same look"
    record_gate(desk.engine, desk.home, result, desk.now + timedelta(minutes=1))
    assert [one.key for one in desk.incidents()] == ["b"]


@pytest.mark.parametrize("unknown", [Status.COULD_NOT_CHECK, Status.SKIPPED])
def test_a_rule_that_says_nothing_closes_nothing(desk: Desk, unknown: Status) -> None:
    desk.night("a")
    desk.night(rule_status=unknown)
    assert [one.key for one in desk.incidents(queue=Queue.RECORDS)] == ["a"]


def test_a_blocked_stream_leaves_the_incidents_of_its_records_alone(desk: Desk) -> None:
    desk.night("a")
    desk.night(checks=[checked("volume", Status.FAILED, Severity.CRITICAL)])
    assert {(one.queue, one.rule, one.key) for one in desk.incidents()} == {
        ("records", "won_has_amount", "a"),
        ("checks", "volume", None),
    }
    desk.night("b", checks=[checked("volume", Status.PASSED, Severity.CRITICAL)])
    assert [(one.queue, one.key) for one in desk.incidents()] == [("records", "b")]


def test_a_crash_and_a_critical_failure_are_one_incident_each_until_the_check_passes(desk: Desk) -> None:
    failing = [
        checked("complete", Status.COULD_NOT_CHECK, Severity.INFO, detail="no such column"),
        checked("volume", Status.FAILED, Severity.CRITICAL),
        checked("freshness", Status.FAILED, Severity.INFO),
    ]
    desk.night(checks=failing)
    desk.night(checks=failing)
    found = {one.rule: one for one in desk.incidents()}
    assert found.keys() == {"complete", "volume"}
    assert (found["complete"].is_crash, found["volume"].is_crash) == (True, False)
    assert found["complete"].reason == "could not be checked: no such column"
    assert found["volume"].due_at == FIRST_NIGHT + timedelta(days=1)
    desk.night(checks=[checked("complete", Status.SKIPPED), checked("volume", Status.PASSED)])
    assert [one.rule for one in desk.incidents()] == ["complete"]


def test_a_pair_is_one_incident_whichever_record_names_the_other_and_a_steward_s_word_on_it_stands(desk: Desk) -> None:
    same = {"rule": "duplicate_open_deal", "state": "noted", "severity": "info"}
    both = [{"key": "a", "other_key": "b", **same}, {"key": "b", "other_key": "a", **same}]
    desk.night(*both)
    (pair,) = desk.incidents()
    assert (pair.queue, {pair.key, pair.other_key}, pair.due_at) == ("duplicates", {"a", "b"}, None)
    assert desk.incidents(key="b") == [pair]
    resolve(desk.engine, [pair.id], deed(), resolution=Reason.FALSE_POSITIVE)
    desk.night(*both)
    assert desk.incidents() == []
    desk.night({"key": "a", "other_key": "c", **same})
    assert [one.other_key for one in desk.incidents()] == ["c"]


def test_pairs_across_crms_are_proposed_once_and_closed_when_they_are_proposed_no_more(desk: Desk) -> None:
    deal, other = Place("salesforce", "opportunities", "006"), Place("hubspot", "deals", "17")
    near = Place("hubspot", "deals", "18")
    for day, pairs in enumerate([[(deal, other), (other, near)], [(other, deal)], [(other, deal)]]):
        look = Look(f"run{day}", FIRST_NIGHT + timedelta(days=day))
        proposed = [Pair(one=one, other=two, reason="same name and amount") for one, two in pairs]
        propose_duplicates(desk.engine, rule="same_deal", severity=Severity.INFO, pairs=proposed, look=look)
    everything = desk.incidents(also_resolved=True)
    assert {(one.crm, one.key, one.other_key, one.state) for one in everything} == {
        ("hubspot", "17", "salesforce/opportunities/006", "new"),
        ("hubspot", "17", "18", "resolved"),
    }


def test_a_bad_record_that_a_steward_resolved_is_opened_anew_while_it_is_held_back(desk: Desk) -> None:
    desk.night("a")
    resolve(desk.engine, [1], deed(comment="typed in by hand"), resolution=Reason.MISSING_DATA)
    desk.night("a")
    assert [(one.id, one.state) for one in desk.incidents(also_resolved=True)] == [(1, "resolved"), (2, "new")]


def test_an_incident_goes_from_new_to_resolved_and_all_of_it_is_history(desk: Desk) -> None:
    desk.night("a")
    acknowledge(desk.engine, [1], deed(comment=None))
    assign(desk.engine, [1], deed(comment=None, at=MORNING + timedelta(hours=1)), to="ben")
    resolve(desk.engine, [1], deed("ben", "amount added", MORNING + timedelta(hours=2)), resolution=Reason.OTHER)
    one, entries = get(desk.engine, 1)
    assert (one.state, one.assignee, one.resolution, one.comment) == ("resolved", "ben", "Other", "amount added")
    times = (one.acknowledged_at, one.assigned_at, one.resolved_at)
    assert times == tuple(MORNING + timedelta(hours=hours) for hours in (0, 1, 2))
    told = [(entry.action, entry.actor, entry.comment) for entry in entries]
    assert told[1:] == [("acknowledged", "ann", None), ("assigned", "ann", None), ("resolved", "ben", "amount added")]
    assert entries[1].before == {"state": "new", "acknowledged_at": None}
    assert entries[2].after == {"state": "assigned", "assignee": "ben", "assigned_at": "2026-08-01T10:00:00+00:00"}


def test_assigning_implies_having_seen_it_and_taking_over_must_be_said(desk: Desk) -> None:
    desk.night("a")
    (one,) = assign(desk.engine, [1], deed("ann"), to="ann")
    assert one.acknowledged_at == one.assigned_at == MORNING
    with pytest.raises(Refused, match="assigned to ann already.*ann assigned INC-000001 on 2026-08-01 at 09:00 UTC"):
        assign(desk.engine, [1], deed("ben"), to="ANN")
    with pytest.raises(Refused, match="assigned to ann; to give it to somebody else .* --reassign"):
        assign(desk.engine, [1], deed("ben"), to="ben")
    assign(desk.engine, [1], deed("ann"), to="cem")
    assign(desk.engine, [1], deed("ben"), to="ben", takes_over=True)
    assert desk.incidents()[0].assignee == "ben"


REFUSALS: list[tuple[Callable[[Desk], Any], str]] = [
    (lambda desk: acknowledge(desk.engine, [99], deed()), "There is no incident INC-000099"),
    (lambda desk: acknowledge(desk.engine, Filter(rule="none"), deed()), "No open incident is like that"),
    (lambda desk: acknowledge(desk.engine, [1], deed("  ")), "Nobody is named"),
    (lambda desk: resolve(desk.engine, [1], deed(comment=" "), resolution=Reason.OTHER), "a comment"),
    (lambda desk: number_of("INC-"), "names no incident"),
    (lambda desk: number_of("W-000001"), "names no incident"),
]


def test_what_makes_no_sense_is_refused_and_changes_nothing(desk: Desk) -> None:
    desk.night("a")
    for act, says in REFUSALS:
        with pytest.raises(Refused, match=says):
            act(desk)
    assert [one.state for one in desk.incidents()] == [State.NEW]
    assert desk.actions() == ["opened"]


def test_a_bulk_action_is_done_to_all_or_to_none(desk: Desk) -> None:
    desk.night("a", "b", "c", {"key": "a", "rule": "won_has_owner"})
    resolve(desk.engine, [4], deed(), resolution=Reason.OTHER)
    with pytest.raises(Refused, match="INC-000004 is resolved already") as refused:
        assign(desk.engine, [1, 2, 3, 4], deed("ben"), to="ben")
    assert "ann resolved INC-000004" in str(refused.value)
    assert {one.state for one in desk.incidents()} == {State.NEW}
    done = assign(desk.engine, Filter(rule="won_has_amount"), deed("ben"), to="ben")
    assert [one.id for one in done] == [1, 3]
    done = assign(desk.engine, Filter(crm="salesforce"), deed("ben"), to="ben")
    assert [one.rule for one in done] == ["won_has_owner"], "what is theirs already is no obstacle"
    assert len(desk.incidents(assignee="Ben")) == 3


def test_the_queue_is_ordered_by_money_and_then_by_age(desk: Desk) -> None:
    desk.night("a", "b", "c")
    desk.night("a", "b", "c", "d")
    at_risk = ("amount_at_risk", "pipeline_at_risk", "payout_at_risk")
    money = {1: ("0", "5", None), 2: ("0.0001", "0", "0"), 4: ("1", "1", "0.5")}
    with writing(desk.engine) as connection:
        for number, values in money.items():
            amounts = [value if value is None else Decimal(value) for value in values]
            changed = update(tables.incident).where(tables.incident.c.id == number)
            connection.execute(changed.values(dict(zip(at_risk, amounts, strict=True))))
    ordered = desk.incidents()
    assert [one.id for one in ordered] == [4, 1, 2, 3]
    assert (ordered[2].amount_at_risk, ordered[0].payout_at_risk) == (Decimal("0.0001"), Decimal("0.5"))
    overdue = desk.incidents(overdue_at=FIRST_NIGHT + timedelta(days=5, seconds=1))
    assert [one.id for one in overdue] == [1, 2, 3]


def test_the_history_cannot_be_altered(desk: Desk) -> None:
    desk.night("a")
    attacks = {
        "update action set actor = 'nobody'": "update",
        "delete from action": "delete",
        "delete from incident": "delete",
    }
    if desk.engine.dialect.name == "sqlite":
        attacks["insert or replace into action (id, at, actor, action, subject) values (1, 1, 1, 1, 1)"] = "replace"
    else:
        attacks["truncate action"] = "truncate"
    for attack, verb in attacks.items():
        with (
            pytest.raises(DBAPIError, match=f"rows are kept as they were written, {verb} is refused"),
            writing(desk.engine) as connection,
        ):
            connection.execute(text(attack))
    assert desk.actions("actor") == ["attain"]


def test_the_database_itself_has_one_open_incident_for_each_rule_and_record(desk: Desk) -> None:
    desk.night("a")
    with pytest.raises(IntegrityError), writing(desk.engine) as connection:
        row = connection.execute(tables.incident.select()).mappings().one()
        connection.execute(insert(tables.incident).values({**row, "id": 2}))


def test_two_stewards_at_once_do_it_once_and_the_second_is_told_by_whom(desk: Desk) -> None:
    desk.night("a")

    def act(by: str) -> list[Incident]:
        return acknowledge(desk.engine, [1], deed(by))

    done, refused = at_once(act, "ann", "ben")
    assert len(done) == len(refused) == 1
    (first,) = {"ann", "ben"} & set(desk.actions("actor"))
    assert f"INC-000001 is acknowledged already. Last, {first} acknowledged INC-000001" in str(refused[0])


def test_two_stewards_who_take_the_same_incident_do_not_both_get_it(desk: Desk) -> None:
    desk.night("a", "b")

    def take(by: str) -> list[Incident]:
        return assign(desk.engine, [1, 2] if by == "ann" else [2, 1], deed(by), to=by)

    done, refused = at_once(take, "ann", "ben")
    assert len(done) == len(refused) == 1
    assert len({one.assignee for one in desk.incidents()}) == 1


def test_gates_at_once_leave_one_incident_for_each_record(desk: Desk) -> None:
    result = desk.night()
    desk.night(*(f"k{number}" for number in range(50)))
    with writing(desk.engine) as connection:
        connection.execute(update(tables.incident).values(state="resolved"))

    def gate(minute: str) -> None:
        record_gate(desk.engine, desk.home, result, desk.now + timedelta(minutes=int(minute)))

    done, refused = at_once(gate, "1", "2")
    assert (len(done), refused) == (2, [])
    assert len(desk.incidents()) == 50


def at_once(act: Callable[[str], Any], *names: str) -> tuple[list[Any], list[Refused]]:
    """Let several people do something at the same moment; gives what they got done, and their refusals."""
    ready = Barrier(len(names))

    def run(name: str) -> Any:
        ready.wait()
        try:
            return act(name)
        except Refused as refused:
            return refused

    with ThreadPoolExecutor(len(names)) as pool:
        outcomes = list(pool.map(run, names))
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    return [outcome for outcome in outcomes if not isinstance(outcome, Refused)], refusals


def test_the_database_is_created_once_and_one_of_another_version_is_refused(desk: Desk) -> None:
    desk.night("a")
    again = open_state(desk.url)
    again.dispose()
    assert len(desk.incidents()) == 1
    with writing(desk.engine) as connection:
        connection.execute(update(tables.schema_version).values(version=99))
    with pytest.raises(StateUnusable, match="version 99"):
        open_state(desk.url)
    with writing(desk.engine) as connection:
        connection.execute(update(tables.schema_version).values(version=tables.VERSION))


def test_a_database_that_cannot_be_reached_is_told_without_its_password() -> None:
    with pytest.raises(StateUnusable, match="cannot be used") as error:
        open_state("postgresql://steward:secret@127.0.0.1:1/attain")
    assert "secret" not in str(error.value)
