"""A sweep for secrets: whatever a server is shown, its log, its answers and its values hold none."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from helpers.http_client import fetch
from helpers.raw_peer import connected, request
from helpers.server import serving
from helpers.server_process import running
from helpers.signing import sign

import trioecho
from trioecho import Identity, OptionError, Settings

ON_COMMAND_LINE, IN_FILE = "Kd7wq2Zt9vXb4mLs8RfY", "Pn3xHc6gTj1eUa5oWi0D"
SIGNING = "Vb8nMq1wEr4tYu7iOp2aSd5fGh0jKlZx"
SIGNED = sign("HS256", {"sub": "cy"}).rpartition(".")[0]

STRANGE = "Qz5rLt8yBv2nCx7mWk4h"
"""What nobody was given; it could be somebody's secret elsewhere, or nearly one of ours."""

PART = 8
"""Characters of a secret that would give too much of it away."""

MALFORMED = (
    "Authorization: Bearer {0} {0}",
    "Authorization: Bearer {0},",
    "Authorization: {0}",
    "Authorization: Basic {0}",
    "Authorization: bearer\t{0}\x7f",
    "Cookie: session={0}; session={0}x",
    'Cookie: session="{0}"',
    "Cookie: {0}",
    "Sec-WebSocket-Protocol: bearer.{0}, bearer.{0}",
    "Sec-WebSocket-Protocol: bearer.{0}=, ,",
    "Origin: https://evil.example/{0}\x80",
)
"""Headers that are wrong in some way, or two at once."""


def jwt(secret: str) -> str:
    """Sign with one of the secrets that the server knows, or with another."""
    import jwt as library

    return library.encode({"sub": "cy"}, secret, "HS256")


def credentials() -> list[str]:
    """Good ones of every kind, those that are nearly good, and strange ones."""
    good = [ON_COMMAND_LINE, IN_FILE, jwt(SIGNING)]
    return [*good, *(one[:-1] + "_" for one in good), STRANGE, SIGNING, jwt(STRANGE * 2)]


def requests(credential: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Present a credential in every place, and twice."""
    header = {"Authorization": f"Bearer {credential}"}
    for headers in (
        header,
        {"Sec-WebSocket-Protocol": f"bearer.{credential}, chat"},
        {"Cookie": f"a=b; session={credential}"},
        {**header, "Cookie": f"session={STRANGE}"},
        {**header, "Origin": "https://evil.example"},
    ):
        yield "/room", headers
    yield f"/room?token={credential}", {}
    yield f"/room?a=b&access_token={credential}&token={STRANGE}", header


async def drive(url: str) -> list[str]:
    """Present all there is, by every way in; return what is answered."""
    said: list[str] = []
    for credential in credentials():
        for target, headers in requests(credential):
            for method, more in (
                ("GET", {"Accept": "application/json"}),
                ("GET", {"Accept": "text/html"}),
                ("POST", {"Content-Type": "text/plain"}),
            ):
                body = b"hello" if method == "POST" else None
                given = {**headers, **more}
                said.append(repr(await fetch(url, target, method=method, headers=given, body=body)))
            raw = {name.encode(): value.encode() for name, value in headers.items()}
            said.append(await raw_answer(url, request(target.encode(), headers=raw)))
            events = {**raw, b"Accept": b"text/event-stream", b"Upgrade": None, b"Connection": b"close"}
            said.append(await raw_answer(url, request(target.encode(), headers=events)))
        for malformed in MALFORMED:
            line = malformed.format(credential).encode("latin-1")
            said.append(await raw_answer(url, request(b"/room")[:-2] + line + b"\r\n\r\n"))
    return said


async def raw_answer(url: str, data: bytes) -> str:
    """Send bytes; return what comes at once, and then hang up."""
    async with connected(url) as peer:
        await peer.send(data)
        return (await peer.stream.receive_some()).decode("latin-1")


def assert_clean(text: str) -> None:
    """Hold that no secret is in a text, nor a part of one."""
    # The beginning of a signed token says how it is signed, the same for all.
    public = SIGNED.partition(".")[0]
    for credential in [*credentials(), SIGNING, SIGNED]:
        for start in range(len(credential) - PART + 1):
            part = credential[start : start + PART]
            if part not in public:
                assert part not in text, f"a part of a secret: {text[max(0, text.find(part) - 200) :][:400]}"


@pytest.mark.parametrize("secret", [ON_COMMAND_LINE[3:], IN_FILE[:PART], STRANGE, jwt(SIGNING)[-PART:]])
def test_the_sweep_finds_a_part_of_a_secret(secret: str) -> None:
    with pytest.raises(AssertionError, match="a part of a secret"):
        assert_clean(f"level=debug token={secret} room=/")


async def test_no_secret_is_in_the_log_or_in_an_answer(tmp_path: Path) -> None:
    tokens, key = tmp_path / "tokens", tmp_path / "key"
    tokens.write_text(f"bo {IN_FILE}\n")
    key.write_text(SIGNING)
    options = (
        f"--token=ada={ON_COMMAND_LINE}",
        f"--token-file={tokens}",
        f"--jwt-key-file={key}",
        "--token-cookie=session",
        "--allow-query-token",
        "--subprotocol=chat",
        "--log-level=debug",
    )
    async with running(*options, patience=90) as server:
        said = await drive(server.url)
        assert any("101 Switching" in answer for answer in said) and any("401" in answer for answer in said)
        for wrong in (
            f"bo {IN_FILE} {STRANGE}",
            f"bo {IN_FILE}\nbo {STRANGE}",
            f"{IN_FILE}",
            f"a=b {IN_FILE}ü",
        ):
            before = len(server.find("not-reloaded"))
            tokens.write_text(wrong)
            server.signal(signal.SIGHUP)
            await server.event("not-reloaded", count=before + 1)
        key.write_text(SIGNING[:20])
        server.signal(signal.SIGHUP)
        with trio.move_on_after(1):
            await server.event("not-reloaded", count=before + 3)
        assert server.find("connected", name="ada") and server.find("connected", name="cy")
        log = "\n".join(server.lines)
    assert "not-reloaded" in log and "refused" in log
    assert_clean(log)
    assert_clean("\n".join(said))


async def test_no_public_value_shows_a_secret(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(SIGNING)
    settings = Settings(token={"ada": ON_COMMAND_LINE}, jwt_key_file=key)
    async with serving(token={"ada": ON_COMMAND_LINE}, jwt_key_file=key) as server:
        async with trioecho.open_client(server.url, token=ON_COMMAND_LINE) as client:
            assert await client.ping() >= 0
            shown = [settings, server.server, server.server.hub, server.server.counters, client]
            shown += [client.state, client.response_headers, Identity("ada"), trioecho.client.ClientOptions]
            shown.append(trioecho.client.ClientOptions(token=ON_COMMAND_LINE))
            assert_clean("\n".join(f"{value!r} {value!s}" for value in shown))


@pytest.mark.parametrize(
    "wrong",
    [
        {"ada": f"{IN_FILE} {STRANGE}"},
        {"a b": IN_FILE},
        {"ada": IN_FILE[:5] + "ü" + STRANGE},
        [("ada", ON_COMMAND_LINE), ("bo", ON_COMMAND_LINE)],
    ],
)
async def test_what_is_wrong_with_a_token_is_said_without_it(wrong: object) -> None:
    with pytest.raises((OptionError, ExceptionGroup)) as caught:
        async with serving(token=wrong):  # type: ignore[arg-type]
            pass
    error: BaseException = caught.value
    while isinstance(error, ExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, OptionError)
    assert_clean(repr(error) + str(error))
