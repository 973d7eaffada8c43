"""Work in processes of their own, so that time and memory are their own: what the benchmarks share."""

import resource
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from connectors.sandbox.company import World
    from connectors.sandbox.server import Sandbox

SPAWN = get_context("spawn")
T = TypeVar("T")


@dataclass(frozen=True)
class Measured(Generic[T]):
    """What some work came to, and what it took."""

    result: T
    seconds: float
    mebibytes: int
    """The most memory that its process ever held."""


def nothing() -> None:
    """Do nothing ahead."""


def measured(work: Callable[..., T], *arguments: Any, ahead: Callable[[], object] = nothing) -> Measured[T]:
    """Do some work in a fresh process; the seconds of starting it, and of what is done `ahead` in it, do not count.

    The memory of both does.
    """
    receiving, sending = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_measure, args=(sending, ahead, work, *arguments))
    process.start()
    sending.close()
    try:
        result: Measured[T] = receiving.recv()
        return result
    finally:
        process.join()


def _measure(sending: Connection, ahead: Callable[[], object], work: Callable[..., T], *arguments: Any) -> None:
    ahead()
    began = monotonic()
    result = work(*arguments)
    seconds = monotonic() - began
    sending.send(Measured(result, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))


@contextmanager
def serving(
    world: Callable[..., "World"],
    *arguments: Any,
    crm: str,
    at: datetime,
    prepare: Callable[["Sandbox"], None] | None = None,
) -> Iterator[Mapping[str, str]]:
    """Serve a company in a process of its own; its clients need to know the variables."""
    receiving, sending = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_serve, args=(sending, crm, at, prepare, world, *arguments), daemon=True)
    process.start()
    sending.close()
    try:
        yield receiving.recv()
    finally:
        process.terminate()
        process.join()


def _serve(
    sending: Connection,
    crm: str,
    at: datetime,
    prepare: Callable[["Sandbox"], None] | None,
    world: Callable[..., "World"],
    *arguments: Any,
) -> None:
    from connectors.sandbox.clock import SimulatedClock
    from connectors.sandbox.server import Server, serve

    def tell(server: Server) -> None:
        if prepare:
            prepare(server.sandbox)
        sending.send({**server.environment(), "URL": server.url})

    serve(world(*arguments), [crm], clock=SimulatedClock(at), on_start=tell)
