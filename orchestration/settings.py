"""The only reader of the environment: which CRMs are on, with which credentials, and where the data lives.

Nothing is opened or contacted here; a half-set CRM is an error that names the variables.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors import dynamics, hubspot, salesforce, zoho
from connectors.errors import ConfigurationError
from connectors.options import Options
from connectors.stream import Source, Stream

STATE_SCHEMES = ("sqlite:///", "postgresql://", "postgresql+psycopg://")

PROJECT_ROOT = Path(__file__).resolve().parent.parent
QUALITY_WEIGHTS = PROJECT_ROOT / "dbt_project" / "seeds" / "quality_weights.csv"

STREAMS: Mapping[str, Sequence[Stream]] = {
    "salesforce": salesforce.STREAMS,
    "hubspot": hubspot.STREAMS,
    "dynamics": dynamics.STREAMS,
    "zoho": zoho.STREAMS,
}
"""Every CRM that Attain reads, on or off, in the order people see them."""

CUSTOM_STREAMS: Mapping[str, tuple[str, Callable[[str], Stream]]] = {
    "salesforce": ("SALESFORCE_OBJECTS", salesforce.custom_stream),
    "hubspot": ("HUBSPOT_OBJECTS", hubspot.custom_stream),
    "dynamics": ("DYNAMICS_TABLES", dynamics.custom_stream),
    "zoho": ("ZOHO_MODULES", zoho.custom_stream),
}
"""The variable that names an organisation's own objects, and how one of them is read."""

Credentials = salesforce.Credentials | hubspot.Credentials | dynamics.Credentials | zoho.Credentials


HUBSPOT_GRANT = ("HUBSPOT_CLIENT_ID", "HUBSPOT_CLIENT_SECRET", "HUBSPOT_REFRESH_TOKEN")
"""What an OAuth app sets in place of a private app's token."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment says, checked."""

    home: Path
    """Absolute folder of all runtime data: landing, quality, warehouse, published, run history."""
    timezone: str
    """The business time zone: what "today" and "the day a deal closed" mean."""
    currency: str
    schedule: str
    """Cron expression, in the business time zone."""
    state_url: str
    """The stewards' database, as SQLAlchemy names it."""
    steward: str | None
    """Who acts on the command line, unless somebody is named there; None: whoever is logged in."""
    alert_webhook: str | None
    """Where a failed night, and what stewards should know, is told as a chat message."""
    alert_emails: Sequence[str]
    """To whom it is told by e-mail."""
    smtp_url: str | None
    """The server that takes those, as smtp://user:password@host:port, or smtps:// where it speaks TLS at once."""
    private_fields: Sequence[str]
    """Patterns of `crm.stream.field` that are shown masked, beyond those that are known to tell of a person."""
    credentials: Mapping[str, Credentials]
    """By CRM; a CRM that is off is absent."""
    streams: Mapping[str, Sequence[Stream]]
    """By CRM: what every organisation has, and the objects of its own that were named."""
    options: Options
    whole_every: timedelta
    """How old a whole read may become where a cursor does not see every change."""

    def connect(self, crm: str) -> Source:
        """Log in to one CRM."""
        match self.credentials[crm]:
            case salesforce.Credentials() as credentials:
                return salesforce.Salesforce(credentials, self.options)
            case hubspot.Credentials() as credentials:
                return hubspot.HubSpot(credentials, self.options)
            case dynamics.Credentials() as credentials:
                return dynamics.Dynamics(credentials, self.options)
            case credentials:
                return zoho.Zoho(credentials, self.options)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read and check the settings.

    Raises:
        ConfigurationError: a CRM is set by halves, or a value makes no sense.

    """
    env = {name: value.strip() for name, value in environment.items() if value.strip()}
    found = {
        "salesforce": _salesforce(env),
        "hubspot": _hubspot(env),
        "dynamics": _dynamics(env),
        "zoho": _zoho(env),
    }
    home = _home(env.get("ATTAIN_HOME", str(PROJECT_ROOT / "data")))
    return Settings(
        home=home,
        timezone=_timezone(env.get("ATTAIN_TIMEZONE", "UTC")),
        currency=env.get("ATTAIN_CURRENCY", "USD"),
        schedule=env.get("ATTAIN_SCHEDULE", "0 2 * * *"),
        state_url=_state_url(env, home),
        steward=env.get("ATTAIN_STEWARD"),
        alert_webhook=env.get("ATTAIN_ALERT_WEBHOOK"),
        alert_emails=_words(env.get("ATTAIN_ALERT_EMAIL", "")),
        smtp_url=_smtp_url(env),
        private_fields=_words(env.get("ATTAIN_PRIVATE_FIELDS", "")),
        credentials={crm: credentials for crm, credentials in found.items() if credentials},
        streams={crm: (*STREAMS[crm], *_custom_streams(env, crm)) for crm in STREAMS},
        options=Options(
            excluded_fields=tuple(_words(env.get("ATTAIN_EXCLUDE_FIELDS", ""))),
            reserve=_number(env, "ATTAIN_API_RESERVE", 10, highest=90) / 100,
            token_folder=home / "tokens",
        ),
        whole_every=timedelta(days=_number(env, "ATTAIN_WHOLE_READ_DAYS", 7, highest=366)),
    )


def _custom_streams(env: Mapping[str, str], crm: str) -> Sequence[Stream]:
    variable, declare = CUSTOM_STREAMS[crm]
    names = {stream.name for stream in STREAMS[crm]}
    objects = names | {stream.object.lower() for stream in STREAMS[crm]}
    streams = [_set_apart(declare(object), names) for object in _words(env.get(variable, ""))]
    for stream in streams:
        if stream.object.lower() in objects:
            raise ConfigurationError(f"{variable} names {stream.object}, which Attain reads already; take it out.")
        if stream.name in names:
            raise ConfigurationError(
                f"{variable} names {stream.object}, which would land as {stream.name} like another object; "
                "take one of them out."
            )
        names, objects = names | {stream.name}, objects | {stream.object.lower()}
    return streams


def _set_apart(stream: Stream, names: Set[str]) -> Stream:
    """An own object whose name is that of a stream that every organisation has."""
    return replace(stream, name=f"custom_{stream.name}") if stream.name in names else stream


def _words(text: str) -> Sequence[str]:
    return text.replace(",", " ").split()


def _number(env: Mapping[str, str], name: str, default: int, *, highest: int) -> int:
    text = env.get(name, str(default))
    if not text.isdecimal() or int(text) > highest:
        raise ConfigurationError(f"{name} must be a whole number from 0 to {highest}, not {text!r}.")
    return int(text)


def _salesforce(env: Mapping[str, str]) -> salesforce.Credentials | None:
    by_key_file = "SALESFORCE_USERNAME" in env or "SALESFORCE_PRIVATE_KEY_FILE" in env
    secret = ("SALESFORCE_USERNAME", "SALESFORCE_PRIVATE_KEY_FILE") if by_key_file else ("SALESFORCE_CLIENT_SECRET",)
    if not _is_on(env, "SALESFORCE_", "SALESFORCE_URL", "SALESFORCE_CLIENT_ID", *secret):
        return None
    return salesforce.Credentials(
        url=_url(env, "SALESFORCE_URL"),
        client_id=env["SALESFORCE_CLIENT_ID"],
        client_secret=None if by_key_file else env["SALESFORCE_CLIENT_SECRET"],
        username=env.get("SALESFORCE_USERNAME"),
        private_key_file=env.get("SALESFORCE_PRIVATE_KEY_FILE"),
        ca_bundle=env.get("ATTAIN_CA_BUNDLE"),
    )


def _hubspot(env: Mapping[str, str]) -> hubspot.Credentials | None:
    by_grant = any(name in env for name in HUBSPOT_GRANT)
    if by_grant and "HUBSPOT_ACCESS_TOKEN" in env:
        raise ConfigurationError(
            f"HubSpot is entered by HUBSPOT_ACCESS_TOKEN or by {', '.join(HUBSPOT_GRANT)}, not by both; unset one."
        )
    if not _is_on(env, "HUBSPOT_", *(HUBSPOT_GRANT if by_grant else ("HUBSPOT_ACCESS_TOKEN",))):
        return None
    version = env.get("HUBSPOT_API_VERSION", "v3")
    hubspot.paths(version)  # refuses one that HubSpot does not have
    return hubspot.Credentials(
        access_token=env.get("HUBSPOT_ACCESS_TOKEN"),
        client_id=env.get("HUBSPOT_CLIENT_ID"),
        client_secret=env.get("HUBSPOT_CLIENT_SECRET"),
        refresh_token=env.get("HUBSPOT_REFRESH_TOKEN"),
        url=_url(env, "HUBSPOT_URL", hubspot.PUBLIC_URL),
        ca_bundle=env.get("ATTAIN_CA_BUNDLE"),
        api_version=version,
    )


def _dynamics(env: Mapping[str, str]) -> dynamics.Credentials | None:
    required = ("DYNAMICS_URL", "DYNAMICS_TENANT_ID", "DYNAMICS_CLIENT_ID", "DYNAMICS_CLIENT_SECRET")
    if not _is_on(env, "DYNAMICS_", *required):
        return None
    return dynamics.Credentials(
        url=_url(env, "DYNAMICS_URL"),
        tenant_id=env["DYNAMICS_TENANT_ID"],
        client_id=env["DYNAMICS_CLIENT_ID"],
        client_secret=env["DYNAMICS_CLIENT_SECRET"],
        authority_url=_url(env, "DYNAMICS_AUTHORITY_URL", dynamics.PUBLIC_AUTHORITY),
        ca_bundle=env.get("ATTAIN_CA_BUNDLE"),
    )


def _zoho(env: Mapping[str, str]) -> zoho.Credentials | None:
    if not _is_on(env, "ZOHO_", "ZOHO_CLIENT_ID", "ZOHO_CLIENT_SECRET", "ZOHO_REFRESH_TOKEN"):
        return None
    return zoho.Credentials(
        client_id=env["ZOHO_CLIENT_ID"],
        client_secret=env["ZOHO_CLIENT_SECRET"],
        refresh_token=env["ZOHO_REFRESH_TOKEN"],
        accounts_url=_url(env, "ZOHO_ACCOUNTS_URL", zoho.PUBLIC_ACCOUNTS_URL),
        url=_url(env, "ZOHO_URL") if "ZOHO_URL" in env else None,
        ca_bundle=env.get("ATTAIN_CA_BUNDLE"),
    )


def _is_on(env: Mapping[str, str], prefix: str, *required: str) -> bool:
    if not any(name.startswith(prefix) for name in env):
        return False
    if missing := [name for name in required if name not in env]:
        raise ConfigurationError(
            f"{prefix.strip('_').title()} is set by halves: {', '.join(missing)} missing. "
            f"Set all of {', '.join(required)}, or unset every {prefix}* variable to switch the CRM off."
        )
    return True


def _home(folder: str) -> Path:
    path = Path(folder).expanduser().resolve()
    if found := sorted(set("'\"*?[]{}") & set(str(path))):
        raise ConfigurationError(
            f"ATTAIN_HOME {path} has {' '.join(found)} in it, which SQL reads as something else; choose another folder."
        )
    return path


def _url(env: Mapping[str, str], name: str, default: str = "") -> str:
    url = env.get(name, default).rstrip("/")
    if not url.startswith(("https://", "http://127.0.0.1", "http://localhost", "http://[::1]")):
        raise ConfigurationError(f"{name} must start with https:// (plain http only on this machine), not {url!r}.")
    return url


def _state_url(env: Mapping[str, str], home: Path) -> str:
    url = env.get("ATTAIN_STATE_URL", f"sqlite:///{home / 'quality' / 'steward.db'}")
    if not url.startswith(STATE_SCHEMES):
        raise ConfigurationError(f"ATTAIN_STATE_URL must start with {' or '.join(STATE_SCHEMES)}.")
    return url


def _smtp_url(env: Mapping[str, str]) -> str | None:
    url = env.get("ATTAIN_SMTP_URL")
    if ("ATTAIN_ALERT_EMAIL" in env) != (url is not None):
        raise ConfigurationError("ATTAIN_ALERT_EMAIL and ATTAIN_SMTP_URL belong together; set both or neither.")
    if url and not (url.startswith(("smtp://", "smtps://")) and urlsplit(url).hostname):
        raise ConfigurationError("ATTAIN_SMTP_URL must look like smtp://user:password@mail.example.com:587.")
    return url


def _timezone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigurationError(f"ATTAIN_TIMEZONE {name!r} is no time zone; give one such as Europe/Berlin.") from None
