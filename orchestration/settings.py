"""The only reader of the environment: which CRMs are on, with which credentials, and where the data lives.

Nothing is opened or contacted here; a half-set CRM is an error that names the variables.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors import dynamics, hubspot, salesforce, zoho
from connectors.errors import ConfigurationError
from connectors.options import Options
from connectors.stream import Source, Stream

PROJECT_ROOT = Path(__file__).resolve().parent.parent

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
    alert_webhook: str | None
    """Where a failed night is told, as a chat message."""
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
        alert_webhook=env.get("ATTAIN_ALERT_WEBHOOK"),
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
    known = {stream.object.lower() for stream in STREAMS[crm]} | {stream.name for stream in STREAMS[crm]}
    streams = [declare(name) for name in _words(env.get(variable, ""))]
    for stream in streams:
        if {stream.object.lower(), stream.name} & known:
            raise ConfigurationError(f"{variable} names {stream.object}, which Attain reads already; take it out.")
        known |= {stream.object.lower(), stream.name}
    return streams


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
    if not re.fullmatch(r"v3|\d{4}-\d{2}", version):
        raise ConfigurationError(f"HUBSPOT_API_VERSION must be v3 or a dated version such as 2026-09, not {version!r}.")
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


def _timezone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigurationError(f"ATTAIN_TIMEZONE {name!r} is no time zone; give one such as Europe/Berlin.") from None
