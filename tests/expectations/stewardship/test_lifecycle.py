"""The life of an incident, whatever stewards try in whatever order."""

from collections.abc import Callable
from datetime import timedelta

from desk import FIRST_NIGHT
from hypothesis import given
from hypothesis import strategies as st

from expectations.rule import Severity
from expectations.stewardship.lifecycle import (
    Deed,
    Incident,
    Queue,
    Reason,
    Refused,
    State,
    acknowledge,
    assign,
    due,
    resolve,
)

NEW = Incident(
    id=1,
    queue=Queue.RECORDS,
    crm="zoho",
    stream="deals",
    key="a",
    other_key=None,
    version="v1",
    rule="won_has_amount",
    dimension="completeness",
    severity=Severity.WARNING,
    reason="the deal is won and has no amount",
    is_crash=False,
    state=State.NEW,
    resolution=None,
    comment=None,
    assignee=None,
    occurred_at=None,
    opened_at=FIRST_NIGHT,
    opened_run="run1",
    acknowledged_at=None,
    assigned_at=None,
    resolved_at=None,
    due_at=due(Severity.WARNING, FIRST_NIGHT),
    last_seen_at=FIRST_NIGHT,
    amount_at_risk=None,
    pipeline_at_risk=None,
    payout_at_risk=None,
    waiver_id=None,
)
ORDER = list(State)
people = st.sampled_from(["ann", "ben", "ANN "])
Step = Callable[[Incident, Deed], Incident]


@st.composite
def steps(draw: st.DrawFn) -> tuple[str, Step]:
    by = draw(people)
    to, takes_over = draw(people), draw(st.booleans())
    tries: list[Step] = [
        acknowledge,
        lambda one, deed: assign(one, deed, to=to, takes_over=takes_over),
        lambda one, deed: resolve(one, deed, resolution=Reason.OTHER),
    ]
    return by, draw(st.sampled_from(tries))


@given(st.lists(steps(), max_size=8))
def test_an_incident_only_moves_forward_and_never_lacks_what_its_state_needs(tried: list[tuple[str, Step]]) -> None:
    one = NEW
    for hours, (by, step) in enumerate(tried):
        before = one
        try:
            one = step(before, Deed(by, FIRST_NIGHT + timedelta(hours=hours), "why"))
        except Refused as refused:
            assert "INC-000001" in str(refused)
            continue
        assert before.is_open and one != before
        assert ORDER.index(one.state) >= ORDER.index(before.state)
        assert (one.assignee is not None) == (one.assigned_at is not None)
        assert one.state is not State.ASSIGNED or (one.assignee and one.acknowledged_at)
        assert (one.state is State.RESOLVED) == bool(one.resolution and one.comment and one.resolved_at)
        times = [at for at in (one.opened_at, one.acknowledged_at, one.assigned_at, one.resolved_at) if at]
        assert times == sorted(times)


def test_what_is_critical_is_due_in_a_day_and_what_is_held_back_in_five() -> None:
    assert due(Severity.CRITICAL, FIRST_NIGHT) == FIRST_NIGHT + timedelta(days=1)
    assert due(Severity.INFO, FIRST_NIGHT) is None
    end = FIRST_NIGHT + timedelta(days=5)
    assert not NEW.is_overdue(end) and NEW.is_overdue(end + timedelta(seconds=1))
