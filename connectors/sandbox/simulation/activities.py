"""What reps do about deals and leads: tasks, calls, meetings, e-mails.

An activity goes where the record goes that it is about: moved with it, deleted with it, restored with it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from connectors.sandbox.company import Activity, ActivityKind, ChangeKind
from connectors.sandbox.simulation.deals import Deal
from connectors.sandbox.simulation.dirt import some_flaw
from connectors.sandbox.simulation.leads import Prospect
from connectors.sandbox.simulation.life import GONE, Edit, Life, lag, live
from connectors.sandbox.simulation.market import SEGMENTS
from connectors.sandbox.simulation.names import SUBJECTS

KINDS = tuple(ActivityKind)
MOST_OF_A_DEAL = dict(zip((segment.name for segment in SEGMENTS), (3, 4, 6), strict=True))
STALE_AFTER = timedelta(days=60)


class Activities:
    """The activities of one CRM."""

    def __init__(self, seed: int, crm: str, dirt: float) -> None:
        self.seed, self.crm, self.dirt = seed, crm, dirt

    def of_deal(self, deal: Deal, life: Life) -> Iterator[Life]:
        """What is done about a deal while it is open."""
        random = Random(f"{self.seed}:{deal.key}:activities")
        end = deal.closed_at or deal.created_at + STALE_AFTER
        farewell = _farewell(life)
        for number in range(random.randint(1, MOST_OF_A_DEAL[deal.account.segment.name])):
            created_at = deal.created_at + timedelta(
                seconds=random.randrange(60, max(61, int((end - deal.created_at).total_seconds())))
            )
            owner = [career for since, career in deal.owners if since <= created_at][-1]
            activity = self._activity(
                random, f"{self.crm}:activity:deal:{deal.number}:{number}", created_at, owner.email
            )
            values: dict[str, Any] = {
                "account_key": deal.account_link.at(created_at),
                "contact_key": deal.contact_link.at(created_at) if deal.contact_link else None,
                "opportunity_key": deal.key,
            }
            edits = [*deal.account_link.edits("account_key"), *farewell]
            edits += deal.contact_link.edits("contact_key") if deal.contact_link else []
            yield self._life(random, activity, values, edits)

    def of_lead(self, prospect: Prospect) -> Iterator[Life]:
        """What is done about a lead that becomes nothing, and about its double."""
        for link, since in prospect.links():
            random = Random(f"{self.seed}:{link.key}:activities")
            for number in range(random.randint(0 if link.key == prospect.key else 1, 2)):
                created_at = since + timedelta(seconds=random.randrange(60, 4 * 86400))
                key = f"{self.crm}:activity:{link.key.partition(':')[2]}:{number}"
                activity = self._activity(random, key, created_at, prospect.owner.email)
                edits = [*link.edits("lead_key"), *prospect.farewell]
                yield self._life(random, activity, {"lead_key": link.key}, edits)

    def _activity(self, random: Random, key: str, created_at: datetime, owner: str) -> Activity:
        kind = random.choice(KINDS)
        ahead = timedelta(seconds=random.randrange(3600, 10 * 86400))
        return Activity(
            key=key,
            crm=self.crm,
            kind=kind,
            subject=random.choice(SUBJECTS[kind]),
            owner_email=owner,
            account_key=None,
            contact_key=None,
            lead_key=None,
            opportunity_key=None,
            happens_at=created_at if kind is ActivityKind.EMAIL else created_at + ahead,
            minutes=random.choice((15, 30, 45, 60)),
            is_done=kind is ActivityKind.EMAIL,
            created_at=created_at,
            modified_at=created_at,
        )

    def _life(self, random: Random, activity: Activity, values: dict[str, Any], edits: list[Edit]) -> Life:
        flaw = some_flaw(self.seed, activity, self.crm) if random.random() < self.dirt else None
        if not activity.is_done and random.random() < 0.9:
            done_at = activity.happens_at + timedelta(minutes=activity.minutes)
            edits = [*edits, Edit(done_at, {"is_done": True}, lag=lag(random))]
        if random.random() < 0.01 and not any(edit.kind in GONE for edit in edits):
            gone_at = activity.created_at + timedelta(seconds=random.randint(3600, 9 * 86400))
            edits = [*edits, Edit(gone_at, kind=random.choice((ChangeKind.DELETED, ChangeKind.PURGED)))]
        return live(self.crm, replace(activity, **values), edits, lag=lag(random), flaw=flaw)


def _farewell(life: Life) -> Sequence[Edit]:
    """How a record goes, and comes back, as edits for what goes with it."""
    kinds = (*GONE, ChangeKind.RESTORED)
    return [Edit(change.at, kind=change.kind) for change in life.changes if change.kind in kinds]
