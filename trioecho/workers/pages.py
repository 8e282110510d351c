"""
The pages for monitoring, of all workers together: each is asked for its own, on a socket for that.

Whoever answers for all keeps what they said for a moment, as each of them does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import trio

from trioecho.http.gzip import accepts_gzip
from trioecho.http.request import Request
from trioecho.http.response import NO_STORE, Response, text_response
from trioecho.settings import Web
from trioecho.web.kept import Kept, Slices
from trioecho.web.monitoring import read_only
from trioecho.web.site import Handler
from trioecho.web.status import Status, StatusError, parse_status, together
from trioecho.web.status_page import status_handler
from trioecho.workers.adding_up import added_up

__all__ = ["pages_together"]

PATIENCE = 2.0
"""How long a worker's answer may take (seconds): less than whoever asks for all is likely to wait."""

MOST_PAGE = 2**20
"""More than a page has (bytes)."""

PLAIN = "text/plain; version=0.0.4; charset=utf-8"

LONGEST_KEPT = 0.5
"""What was asked of all is kept so long at most (seconds): a worker that does not answer takes long."""

ALIVE = text_response(200, "The process is alive.", NO_STORE)


def pages_together(workers: Sequence[Path], web: Web, *, names: bool) -> dict[str, Handler]:
    """
    Return the handlers of ``/healthz``, ``/readyz``, ``/metrics`` and ``/status``, as far as they are on.

    Args:
        workers: the sockets on which workers answer these pages.
        web: which are on.
        names: whether the status names rooms and addresses.

    """
    ready = Kept(partial(_ready, workers), longest=LONGEST_KEPT)
    metrics = Kept(partial(_metrics, workers), longest=LONGEST_KEPT)
    status = Kept(partial(_status, workers), longest=LONGEST_KEPT)

    async def answer_alive(request: Request) -> Response:
        return ALIVE

    async def answer_ready(request: Request) -> Response:
        return await ready.get()

    async def answer_metrics(request: Request) -> Response:
        return await metrics.get()

    pages: dict[str, Handler] = {}
    if web.health:
        pages |= {"/healthz": answer_alive, "/readyz": answer_ready}
    if web.metrics:
        pages["/metrics"] = answer_metrics
    if web.status:
        pages["/status"] = status_handler(status.get, accepts_gzip, names=names)
    return {path: read_only(handler) for path, handler in pages.items()}


async def _ready(workers: Sequence[Path], _: Slices) -> Response:
    ready = sum(answer is not None for answer in await _ask_all("/readyz", workers))
    sentence = f"{ready} of {len(workers)} workers are ready."
    return text_response(200 if ready else 503, sentence, NO_STORE)


async def _metrics(workers: Sequence[Path], _: Slices) -> Response:
    pages = [page for page in await _ask_all("/metrics", workers) if page is not None]
    total = added_up(pages)
    total += b"# HELP trioecho_workers Workers that answer.\n# TYPE trioecho_workers gauge\n"
    return Response(200, total + b"trioecho_workers %d\n" % len(pages), PLAIN, (NO_STORE,))


async def _status(workers: Sequence[Path], _: Slices) -> Status:
    found, missing = [], 0
    for answer in await _ask_all("/status", workers):
        try:
            found.append(parse_status(answer or b""))
        except StatusError:
            missing += 1
    return together(found, missing=missing)


async def _ask_all(path: str, workers: Sequence[Path]) -> list[bytes | None]:
    """Ask every worker for a page; ``None``: it did not answer in time, or not with 200."""
    answers: list[bytes | None] = [None] * len(workers)

    async def ask(number: int, worker: Path) -> None:
        with trio.move_on_after(PATIENCE):
            try:
                answers[number] = await _ask(path, worker)
            except (OSError, trio.BrokenResourceError):
                pass

    async with trio.open_nursery() as nursery:
        for number, worker in enumerate(workers):
            nursery.start_soon(ask, number, worker)
    return answers


async def _ask(path: str, worker: Path) -> bytes | None:
    async with await trio.open_unix_socket(str(worker)) as stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while (data := await stream.receive_some(65_536)) and len(answer) < MOST_PAGE:
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    return body if head.split(b" ", 2)[1:2] == [b"200"] else None
