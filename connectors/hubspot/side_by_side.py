"""Several calls at a time, answers in order: the next page is fetched while those before it are completed.

What is fetched, and what completes it, is for the callers.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

THREADS = 4
Page = TypeVar("Page")
Done = TypeVar("Done")


def side_by_side(complete: Callable[[Page], Done], pages: Iterator[Page]) -> Iterator[Done]:
    """Complete pages in the order in which they come; no more of them than threads are in memory."""
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="hubspot")
    pending: deque[Future[Done]] = deque()
    try:
        fetched = pool.submit(next, pages, None)
        while (page := fetched.result()) is not None:
            fetched = pool.submit(next, pages, None)
            pending.append(pool.submit(complete, page))
            if len(pending) == THREADS - 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
