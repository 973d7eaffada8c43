"""The labels of choices, and their codes.

Which columns are choices is declared in `tables`.
"""

from collections.abc import Mapping
from zlib import crc32

OPEN_OR_CLOSED = {0: "Open", 1: "Completed", 2: "Canceled"}
ACTIVE_OR_NOT = {0: "Active", 1: "Inactive"}
LABELS: Mapping[tuple[str, str], Mapping[int, str]] = {
    ("opportunity", "statecode"): {0: "Open", 1: "Won", 2: "Lost"},
    ("opportunity", "statuscode"): {1: "In Progress", 2: "On Hold", 3: "Won", 4: "Canceled", 5: "Out-Sold"},
    ("opportunity", "msdyn_forecastcategory"): {100000001: "Pipeline", 100000005: "Won", 100000006: "Lost"},
    ("lead", "statecode"): {0: "Open", 1: "Qualified", 2: "Disqualified"},
    ("lead", "statuscode"): {1: "New", 2: "Contacted", 3: "Qualified", 4: "Lost"},
    ("lead", "leadsourcecode"): {1: "Web", 2: "Partner", 3: "Trade Show", 4: "Referral", 5: "Outbound"},
    ("account", "statecode"): ACTIVE_OR_NOT,
    ("contact", "statecode"): ACTIVE_OR_NOT,
    ("product", "statecode"): {0: "Active", 1: "Retired", 2: "Draft"},
    ("pricelevel", "statecode"): ACTIVE_OR_NOT,
    ("opportunityclose", "statecode"): OPEN_OR_CLOSED,
    ("opportunitysalesprocess", "statecode"): ACTIVE_OR_NOT,
    ("opportunitysalesprocess", "statuscode"): {1: "Active", 2: "Finished", 3: "Aborted"},
    ("task", "statecode"): OPEN_OR_CLOSED,
    ("phonecall", "statecode"): OPEN_OR_CLOSED,
    ("appointment", "statecode"): {**OPEN_OR_CLOSED, 3: "Scheduled"},
    ("email", "statecode"): OPEN_OR_CLOSED,
    ("campaignresponse", "statecode"): OPEN_OR_CLOSED,
    ("campaignresponse", "responsecode"): {1: "Interested", 2: "Not Interested", 3: "Do Not Send", 4: "Error"},
    ("campaign", "statecode"): ACTIVE_OR_NOT,
    ("goal", "amountdatatype"): {0: "Money", 1: "Decimal", 2: "Integer"},
    ("goal", "fiscalperiod"): {1: "Quarter 1", 2: "Quarter 2", 3: "Quarter 3", 4: "Quarter 4", 301: "Annual"},
    ("salesorder", "statecode"): {0: "Active", 1: "Submitted", 2: "Canceled", 3: "Fulfilled", 4: "Invoiced"},
    ("invoice", "statecode"): {0: "Active", 1: "Closed (deprecated)", 2: "Paid", 3: "Canceled"},
    ("quote", "statecode"): {0: "Draft", 1: "Active", 2: "Won", 3: "Closed"},
    ("team", "teamtype"): {0: "Owner", 1: "Access"},
}


class Choices:
    """The labels of every choice: the fixed ones, and those that the company's records brought along."""

    def __init__(self) -> None:
        self.labels = {column: dict(labels) for column, labels in LABELS.items()}

    def code(self, entity: str, column: str, label: str | None) -> int | None:
        """The code of a label: always the same, also in another run that meets the labels in another order."""
        if label is None:
            return None
        known = self.labels.setdefault((entity, column), {})
        fixed = next((code for code, name in known.items() if name == label), None)
        code = 100_000_000 + crc32(label.encode()) % 800_000_000 if fixed is None else fixed
        known[code] = label
        return code

    def label(self, entity: str, column: str, code: int) -> str | None:
        """What people see for a code."""
        return self.labels.get((entity, column), {}).get(code)
