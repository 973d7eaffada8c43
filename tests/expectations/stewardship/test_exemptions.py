"""Waivers and releases: four eyes, thirty days at most, one version and no other; proved through real gates."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from desk import FIRST_NIGHT, Desk, checked

from expectations.rule import Exemption, ExemptionKind, GateResult, Severity, Status
from expectations.stewardship.audit import Story, why
from expectations.stewardship.exemptions import (
    Target,
    Waiver,
    WaiverState,
    approve,
    end,
    exemptions,
    request,
    targets,
    waivers,
)
from expectations.stewardship.incidents import Filter, get
from expectations.stewardship.intake import record_gate
from expectations.stewardship.lifecycle import Deed, Reason, Refused
from expectations.stewardship.state import reading

if TYPE_CHECKING:
    from conftest import Landing

MORNING = FIRST_NIGHT + timedelta(hours=7)
TODAY = MORNING.date()
TARGET = Target(crm="salesforce", stream="opportunities", rule="won_has_amount", key="a")


def deed(by: str = "Ann", comment: str | None = "the customer pays in kind", at: datetime = MORNING) -> Deed:
    return Deed(by, at, comment)


def ask(desk: Desk, target: Target = TARGET, *, days: int = 7, by: str = "Ann", at: datetime = MORNING) -> Waiver:
    (asked,) = request(
        desk.engine,
        [target],
        deed(by, at=at),
        kind=ExemptionKind.WAIVER,
        reason=Reason.FALSE_POSITIVE,
        expires_on=at.date() + timedelta(days=days),
    )
    return asked


def test_a_waiver_holds_once_somebody_else_has_approved_it_and_until_it_is_revoked(desk: Desk) -> None:
    desk.night("a", "b")
    assert ask(desk).waiver_id == "W-000001"
    assert exemptions(desk.engine, "salesforce", MORNING) == []
    approve(desk.engine, ["w-1"], deed("ben"))
    granted = Exemption(
        kind=ExemptionKind.WAIVER, waiver_id="W-000001", rule="won_has_amount", stream="opportunities", key="a"
    )
    assert exemptions(desk.engine, "salesforce", MORNING) == [granted]
    assert exemptions(desk.engine, "hubspot", MORNING) == []
    assert {one.key: one.waiver_id for one in desk.incidents()} == {"a": "W-000001", "b": None}
    end(desk.engine, ["W-000001"], deed("Ann", "it was wrong after all"), how=WaiverState.REVOKED)
    assert exemptions(desk.engine, "salesforce", MORNING) == []
    assert {one.waiver_id for one in desk.incidents()} == {None}
    assert desk.actions()[2:] == ["requested", "approved", "revoked"]


@pytest.mark.parametrize("name", ["Ann", "ann", " ANN ", "Ａｎｎ"])
def test_nobody_approves_their_own_however_the_name_is_typed(desk: Desk, name: str) -> None:
    desk.night("a")
    ask(desk, by="Ann")
    with pytest.raises(Refused, match="requested by Ann: somebody else"):
        approve(desk.engine, ["W-000001"], deed(name))
    assert exemptions(desk.engine, "salesforce", MORNING) == []


def test_a_waiver_holds_thirty_days_at_most_and_its_last_day_counts(desk: Desk) -> None:
    desk.night("a")
    for days in (31, -1):
        with pytest.raises(Refused, match="30 days at most"):
            ask(desk, days=days)
    ask(desk, days=30)
    approve(desk.engine, ["W-000001"], deed("ben"))
    assert len(exemptions(desk.engine, "salesforce", MORNING + timedelta(days=30))) == 1
    assert exemptions(desk.engine, "salesforce", MORNING + timedelta(days=31)) == []


REFUSALS: list[tuple[Callable[[Desk], Any], str]] = [
    (lambda desk: ask(desk), "W-000001 covers won_has_amount on .* until 2026-08-08, and is requested. Last, Ann"),
    (lambda desk: ask(desk, Target(crm="salesforce", stream="opportunities", rule="typo")), "No rule typo has ever"),
    (lambda desk: approve(desk.engine, ["W-000009"], deed("ben")), "There is no W-000009"),
    (lambda desk: approve(desk.engine, ["R-000001"], deed("ben")), "There is no R-000001"),
    (lambda desk: approve(desk.engine, ["INC-000001"], deed("ben")), "names no waiver"),
    (lambda desk: approve(desk.engine, ["W-000001"], deed(" ")), "Nobody is named"),
    (lambda desk: end(desk.engine, ["W-000001"], deed(comment=" "), how=WaiverState.REFUSED), "Say in a comment why"),
    (lambda desk: targets(desk.engine, [2], ExemptionKind.WAIVER), "could not be checked: nobody knows"),
    (lambda desk: targets(desk.engine, [3], ExemptionKind.RELEASE), "about no single record"),
    (lambda desk: approve(desk.engine, ["W-000001"], deed("ben", at=MORNING + timedelta(days=8))), "ended on 2026"),
]


def test_what_makes_no_sense_is_refused_and_changes_nothing(desk: Desk) -> None:
    desk.night("a")
    blocking = checked("volume", Status.FAILED, Severity.CRITICAL)
    desk.night(checks=[checked("complete", Status.COULD_NOT_CHECK), blocking])
    ask(desk)
    for act, says in REFUSALS:
        with pytest.raises(Refused, match=says):
            act(desk)
    with reading(desk.engine) as connection:
        assert [one.state for one in waivers(connection)] == ["requested"]
    assert desk.actions() == ["opened"] * 3 + ["requested"]


def test_waivers_are_approved_all_or_none(desk: Desk) -> None:
    desk.night("a", "b")
    ask(desk)
    ask(desk, Target(crm="salesforce", stream="opportunities", rule="won_has_amount"), by="ben")
    with pytest.raises(Refused, match="W-000002 was requested by ben"):
        approve(desk.engine, ["W-000001", "W-000002"], deed("ben"))
    assert exemptions(desk.engine, "salesforce", MORNING) == []
    approve(desk.engine, ["W-000001", "W-000002"], deed("cem"))
    assert [one.key for one in exemptions(desk.engine, "salesforce", MORNING)] == ["a", None]
    assert [one.state for one in end(desk.engine, ["W-000002"], deed(), how=WaiverState.REVOKED)] == ["revoked"]
    with pytest.raises(Refused, match="W-000002 is revoked, so it cannot be refused. Last, Ann revoked W-000002"):
        end(desk.engine, ["W-000002"], deed(), how=WaiverState.REFUSED)


def test_a_waived_check_closes_its_incident_and_a_crash_of_it_opens_one(desk: Desk) -> None:
    desk.night(checks=[checked("volume", Status.FAILED, Severity.CRITICAL)])
    desk.night(checks=[checked("volume", Status.WAIVED, Severity.CRITICAL, waiver_id="W-000001")])
    (one,) = desk.incidents(also_resolved=True)
    assert (one.resolution, one.waiver_id) == ("Waived", "W-000001")
    desk.night(checks=[checked("volume", Status.COULD_NOT_CHECK, Severity.CRITICAL)])
    assert [(one.rule, one.is_crash) for one in desk.incidents()] == [("volume", True)]


BAD = {
    "Id": "d1",
    "Name": "Cell 4",
    "AccountId": "a1",
    "IsWon": "true",
    "IsClosed": "true",
    "OwnerId": "u1",
    "CloseDate": "2026-07-31",
    "CreatedDate": "2026-07-01T00:00:00+00:00",
    "StageName": "Closed Won",
    "CurrencyIsoCode": "USD",
    "SystemModstamp": "2026-07-31T10:00:00+00:00",
}


def night(desk: Desk, landing: "Landing", day: int) -> GateResult:
    """Run the real gate as nightly does: with what is exempt, and the queues brought in line."""
    at = FIRST_NIGHT + timedelta(days=day)
    exempt = exemptions(desk.engine, "salesforce", at)
    result = landing.check(
        "salesforce", "opportunities", run_id=f"run{day}", checked_at=at, exemptions=exempt, as_of=date(2026, 8, 1)
    )
    record_gate(desk.engine, desk.home, result, at)
    return result


def states(landing: "Landing") -> list[tuple[str, str | None]]:
    """What the quarantine says of the rule, version by version."""
    rows = [row for row in landing.quarantine("salesforce", "opportunities") if row["rule"] == "won_has_amount"]
    return sorted((row["state"], row["waiver_id"]) for row in rows)


@pytest.mark.parametrize("desk", ["sqlite"], indirect=True)
def test_an_expired_waiver_holds_the_record_back_again(desk: Desk, landing: "Landing") -> None:
    landing.commit("salesforce", "opportunities", [BAD])
    night(desk, landing, 0)
    (wanted,) = targets(desk.engine, [1], ExemptionKind.WAIVER)
    ask(desk, wanted, days=2)
    approve(desk.engine, ["W-000001"], deed("ben"))
    night(desk, landing, 1)
    assert states(landing) == [("waived", "W-000001")]
    one, entries = get(desk.engine, 1)
    assert (one.state, one.resolution, one.waiver_id) == ("resolved", "Waived", "W-000001")
    assert entries[-1].comment == "W-000001 lets it pass."
    assert why(desk.engine, desk.home, "salesforce", "opportunities", "d1").verdict.endswith(", let pass by W-000001.")
    night(desk, landing, 3)
    assert states(landing) == [("open", None)]
    assert [one.id for one in desk.incidents(rule="won_has_amount")] == [2]
    with reading(desk.engine) as connection:
        assert [one.state for one in waivers(connection)] == [WaiverState.EXPIRED]


@pytest.mark.parametrize("desk", ["sqlite"], indirect=True)
def test_a_release_is_for_one_version_and_the_audit_tells_all_of_it(desk: Desk, landing: "Landing") -> None:
    def story() -> Story:
        return why(desk.engine, desk.home, "salesforce", "opportunities", "d1")

    assert story().verdict == "salesforce opportunities d1 is out: it has never landed."
    landing.commit("salesforce", "opportunities", [BAD])
    night(desk, landing, 0)
    assert "held back by won_has_amount, and it has no earlier version that is good" in story().verdict
    (wanted,) = targets(desk.engine, [1], ExemptionKind.RELEASE)
    (asked,) = request(desk.engine, [wanted], deed(), kind=ExemptionKind.RELEASE, reason=Reason.OTHER)
    assert (asked.waiver_id, asked.expires_on, asked.version) == ("R-000001", None, wanted.version)
    with pytest.raises(Refused, match="somebody else"):
        approve(desk.engine, ["R-000001"], deed("ANN"))
    approve(desk.engine, ["R-000001"], deed("ben"))

    night(desk, landing, 1)
    assert states(landing) == [("released", "R-000001")]
    assert story().verdict.endswith(f"is in as its latest version {wanted.version}, let pass by R-000001.")

    landing.commit("salesforce", "opportunities", [{**BAD, "Name": "Cell 5"}])
    night(desk, landing, 2)
    night(desk, landing, 3)
    assert states(landing) == [("open", None), ("released", "R-000001")]
    assert [one.id for one in desk.incidents(rule="won_has_amount")] == [2]
    assert story().in_marts_as == wanted.version and "is in as its earlier version" in story().verdict

    landing.commit("salesforce", "opportunities", [{**BAD, "Amount": "5"}])
    night(desk, landing, 4)
    ended = [(one.id, one.resolution) for one in desk.incidents(also_resolved=True)]
    assert ended == [(1, "Released"), (2, "Healed")]
    told = story()
    assert told.in_marts_as == told.versions[0].version and '"Amount": "5"' in told.versions[0].payload
    assert [(entry.subject, entry.action) for entry in told.actions] == [
        ("INC-000001", "opened"),
        ("R-000001", "requested"),
        ("R-000001", "approved"),
        ("INC-000001", "resolved"),
        ("INC-000002", "opened"),
        ("INC-000002", "resolved"),
    ]
    landing.commit("salesforce", "opportunities", [BAD], deleted=True)
    assert "is out: the CRM deleted it" in story().verdict


def test_a_filter_that_is_not_set_chooses_nothing() -> None:
    assert not Filter(also_resolved=True).is_set
    assert Filter(rule="r").is_set
