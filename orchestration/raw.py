"""Raw assets: one for each stream of each CRM that is on, pulled with all CRMs side by side, and the gate on each.

The assets follow from the streams' declarations; adding a stream needs no edit here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

import dagster as dg

from connectors.errors import ApiFailed, ConnectorError, IncompleteRead
from connectors.landing import StreamLanding
from connectors.stream import Stream
from connectors.sync import Mode, Pulled, pull
from expectations.declared import SourceReport
from expectations.gate import check_crm, rules_of
from expectations.quarantine import write_empty
from expectations.results import declare as declare_results
from expectations.stewardship.exemptions import exemptions
from expectations.stewardship.export import declare as declare_queues
from orchestration.calendar import declare as declare_calendar
from orchestration.checks import as_check_result
from orchestration.queues import record, stewards_database
from orchestration.resources import Progress, Run
from orchestration.settings import Settings
from orchestration.warehouse import FX_RATES

WORTH_A_RETRY = (ApiFailed, IncompleteRead)


@dataclass
class CrmPull:
    """How pulling one CRM went: what is landed stays, also when a later stream failed."""

    done: list[Pulled] = field(default_factory=list)
    error: ConnectorError | None = None


class PullConfig(dg.Config):
    """Options of the pull."""

    full_refresh: bool = False
    """Read everything again, as if nothing had landed yet."""
    since: str | None = None
    """Read again what changed since this day or instant; where the last read ended is kept."""


def raw_assets(settings: Settings, crms: Sequence[str]) -> dg.AssetsDefinition:
    """Build the assets `[crm, stream]`, all pulled by one step so that the CRMs can be read at the same time."""

    @dg.multi_asset(
        name="pull",
        specs=[_spec(crm, stream) for crm in crms for stream in settings.streams[crm]],
        can_subset=True,
        retry_policy=dg.RetryPolicy(max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL),
    )
    def pull_crms(
        context: dg.AssetExecutionContext,
        config: PullConfig,
        run: dg.ResourceParam[Run],
        progress: dg.ResourceParam[Progress],
    ) -> Iterator[dg.MaterializeResult[None]]:
        progress.stage("pull")
        declare_all_streams(settings, run)
        mode = _mode(settings, config)
        selected = _by_crm(context.selected_asset_keys)

        def pull_one(crm: str) -> CrmPull:
            return _pull_crm(settings, crm, selected[crm], run, progress, mode)

        with ThreadPoolExecutor(len(selected)) as pool:
            pulls = dict(zip(selected, pool.map(pull_one, selected), strict=True))
        for crm_pull in pulls.values():
            yield from map(_materialized, crm_pull.done)
        _raise_failures(pulls)

    return pull_crms


def gates(settings: Settings, crms: Sequence[str]) -> list[dg.AssetChecksDefinition]:
    """Build one blocking check for each raw asset, run by one step for each CRM."""
    return [_gate(settings, crm) for crm in crms]


def declare_all_streams(settings: Settings, run: Run) -> None:
    """Give SQL an empty table for whatever the CRMs that are off would have brought."""
    for crm, streams in settings.streams.items():
        for stream in streams:
            StreamLanding(run.home, crm, stream).declare()
            write_empty(run.home, crm, stream.name)
    declare_results(run.home)
    declare_queues(run.home)
    declare_calendar(run.home)


def _gate(settings: Settings, crm: str) -> dg.AssetChecksDefinition:
    streams = settings.streams[crm]

    @dg.multi_asset_check(
        name=f"gate_{crm}",
        specs=[
            dg.AssetCheckSpec(
                "gate",
                asset=[crm, stream.name],
                blocking=True,
                description="Critical rules block the night, warnings quarantine records, the rest is written down.",
            )
            for stream in streams
        ],
    )
    def check_streams(
        run: dg.ResourceParam[Run], progress: dg.ResourceParam[Progress]
    ) -> Iterable[dg.AssetCheckResult]:
        progress.stage(f"check {crm}")
        reports = {stream.name: _report(StreamLanding(run.home, crm, stream)) for stream in streams}
        with stewards_database(settings) as engine:
            results = check_crm(
                run.home,
                crm,
                streams,
                reports,
                run_id=run.run_id,
                as_of=run.as_of,
                exemptions=exemptions(engine, crm, datetime.now(ZoneInfo(settings.timezone))),
                fx_rates=FX_RATES,
            )
            record(engine, settings, run, results, {stream.name: rules_of(crm, stream) for stream in streams})
        for result in results:
            yield as_check_result(result, asset_key=dg.AssetKey([crm, result.stream]))

    return check_streams


def _report(landing: StreamLanding) -> SourceReport:
    """What the CRM said of a stream at the last pull, which may have taken several commits."""
    manifest = landing.last_manifest()
    if manifest is None:
        raise dg.Failure(
            f"{landing.crm} {landing.stream.name} was never pulled; run the pull first.", allow_retries=False
        )
    return SourceReport(
        missing_fields=manifest.missing_fields,
        count=manifest.source_count,
        is_exact=manifest.source_count_exact,
        slack=manifest.source_count_slack,
        fields=len(manifest.fields),
        drift=landing.drift_of(manifest.run_id),
    )


def _spec(crm: str, stream: Stream) -> dg.AssetSpec:
    return dg.AssetSpec(
        [crm, stream.name],
        group_name=crm,
        kinds={crm, "parquet"},
        description=f"{stream.object} records of {crm.title()}, every version, as text.",
        metadata={"dagster/column_schema": _columns(stream)},
    )


def _columns(stream: Stream) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(name, str(stream.fields.get(name, "json"))) for name in stream.columns])


def _by_crm(keys: Iterable[dg.AssetKey]) -> Mapping[str, set[str]]:
    selected: dict[str, set[str]] = {}
    for key in sorted(keys):
        selected.setdefault(key.path[0], set()).add(key.path[1])
    return selected


def _pull_crm(settings: Settings, crm: str, names: set[str], run: Run, progress: Progress, mode: Mode) -> CrmPull:
    result = CrmPull()
    try:
        source = settings.connect(crm)
        for stream in settings.streams[crm]:
            if stream.name in names:
                pulled = pull(
                    source,
                    stream,
                    home=run.home,
                    run_id=run.run_id,
                    as_of=day_of_knowledge(run.as_of, source.server_time(), settings.timezone),
                    mode=mode,
                    on_rows=progress.rows,
                )
                result.done.append(pulled)
                progress.calls(crm, source.budget.calls)
    except ConnectorError as error:
        result.error = error
    return result


def day_of_knowledge(as_of: date, now: datetime, timezone: str) -> date:
    """The as-of day from which on what is read now counts: the run's, but none that has not come yet.

    Whoever looks ahead once must not make the nights until then wait for what they pull.
    """
    return min(as_of, now.astimezone(ZoneInfo(timezone)).date())


def _mode(settings: Settings, config: PullConfig) -> Mode:
    try:
        since = datetime.fromisoformat(config.since) if config.since else None
    except ValueError:
        raise dg.Failure(
            f"since must be a day or an instant such as 2026-08-14, not {config.since!r}.", allow_retries=False
        ) from None
    return Mode(
        full_refresh=config.full_refresh,
        since=since.replace(tzinfo=since.tzinfo or ZoneInfo(settings.timezone)) if since else None,
        whole_every=settings.whole_every,
    )


def _materialized(pulled: Pulled) -> dg.MaterializeResult[None]:
    metadata: dict[str, int | str] = {"dagster/row_count": pulled.rows, "API calls": pulled.calls}
    if pulled.source_count is not None:
        metadata["records in the CRM"] = pulled.source_count
    if pulled.missing_fields:
        metadata["fields not readable"] = ", ".join(pulled.missing_fields)
    for kind, names in pulled.drift.items():
        metadata[f"fields {kind}"] = ", ".join(names)
    if pulled.unavailable:
        metadata["unavailable"] = pulled.unavailable
    return dg.MaterializeResult(asset_key=[pulled.crm, pulled.stream], metadata=metadata)


def _raise_failures(pulls: Mapping[str, CrmPull]) -> None:
    errors = [crm_pull.error for crm_pull in pulls.values() if crm_pull.error]
    if errors:
        raise dg.Failure(
            "\n".join(map(str, errors)), allow_retries=all(isinstance(error, WORTH_A_RETRY) for error in errors)
        )
