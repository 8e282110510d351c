"""Wrong arguments: one sentence that says what is wrong, where, and if it can be known, what to do."""

from __future__ import annotations

import pytest
from helpers.other_servers import run_here


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("serve --port abc", "--port 'abc' is not a whole number"),
        ("serve --port 99999", "--port must be a whole number from 0 to 65535, not 99999"),
        (
            "serve --max-memory 1KiB",
            "--max-memory must be at least --max-message-size (1048576), not 1024: a message that large could"
            " never be taken",
        ),
        (
            "serve --max-pending-bytes 1KiB",
            "--max-pending-bytes must be at least --max-message-size (1048576), not 1024: a message that fits"
            " no outbox could reach nobody",
        ),
        (
            "serve --trusted-proxy max_rooms",
            "--trusted-proxy must be a network, for example 10.0.0.0/8, 2001:db8::/32, 192.0.2.1 or unix,"
            " not 'max_rooms'",
        ),
        ("serve --port", "--port needs a value"),
        ("serve --page=3", "--page takes no value"),
        (
            "serve --history-bytes x",
            "--history-bytes 'x' is not a size: give a whole number, with KiB, MiB or GiB if you like (4MiB)",
        ),
        (
            "serve --ping-interval 5s",
            "--ping-interval '5s' is not a number (give it without a unit, as in 2.5)",
        ),
        ("serve --to nobody", "--to 'nobody' is not one of 'others', 'everyone', 'sender'"),
        (
            "serve --histori 3",
            "there is no option --histori: did you mean --history, --history-age or --host?",
        ),
        ("serve --zzz", "there is no option --zzz: see trioecho serve --help"),
        ("serve more of", "nothing is expected where 'more of' stands: see trioecho serve --help"),
        ("listen", "URL is missing: see trioecho listen --help"),
        ("listen http://a/", "URL 'http://a/' must begin with ws://, wss:// or ws+unix:"),
        ("listen ws://a/ -n x", "--count 'x' is not a whole number"),
        ("listen ws://a/ --header x", "--header must be 'NAME: VALUE', with a colon between the two"),
        ("publish /room", "MESSAGE is missing: see trioecho publish --help"),
        ("srve", "there is no command 'srve': did you mean 'serve'?"),
        ("zzz", "there is no command 'zzz': see trioecho --help"),
        ("--zzz", "there is no option --zzz: see trioecho --help"),
    ],
)
def test_one_sentence(arguments: str, sentence: str) -> None:
    assert run_here(*arguments.split()) == (2, b"", f"trioecho: {sentence}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        "serve --token-file /nowhere",
        "serve --engine-file /nowhere",
        "serve --tls-cert /nowhere",
        "listen wss://127.0.0.1/ --token-file /nowhere",
        "listen wss://127.0.0.1/ --cacert /nowhere",
        "top --json http://127.0.0.1/ --token-file /nowhere",
        "bench ws://127.0.0.1/ --lines /nowhere",
        "bench wss://127.0.0.1/ --cacert /nowhere",
    ],
)
def test_a_file_that_is_not_there_is_said_in_the_same_words_everywhere(arguments: str) -> None:
    code, _, said = run_here(*arguments.split())
    assert code in (1, 2) and "/nowhere" in said and "no such file or directory\n" in said.replace("; ", "\n")


def test_what_was_given_by_a_variable_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIOECHO_PORT", "abc")
    assert run_here("serve") == (2, b"", "trioecho: TRIOECHO_PORT 'abc' is not a whole number\n")
    assert run_here("serve", "--port", "x")[2] == "trioecho: --port 'x' is not a whole number\n"


@pytest.mark.parametrize(
    ("command", "variable", "value", "sentence"),
    [
        ("serve", "TRIOECHO_PORT", "99999", "must be a whole number from 0 to 65535, not 99999"),
        (
            "serve",
            "TRIOECHO_MAX_PENDING_BYTES",
            "1KiB",
            "must be at least --max-message-size (1048576), not 1024: a message that fits no outbox could"
            " reach nobody",
        ),
        ("serve", "TRIOECHO_WORKERS", "0", "must be a number from 1 to 128, or auto, not '0'"),
    ],
)
def test_what_cannot_be_in_a_variable_is_said_of_the_variable(
    command: str, variable: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    code, _, said = run_here(*command.split())
    assert code == 2 and said == f"trioecho: {variable} {sentence}\n"


def test_what_was_typed_is_called_by_its_flag_though_there_is_a_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRIOECHO_PORT", "80")
    sentence = "must be a whole number from 0 to 65535, not 99999"
    assert run_here("serve", "--port", "99999")[2] == f"trioecho: --port {sentence}\n"


def test_what_moves_a_terminal_is_not_repeated() -> None:
    for argument in ("a\x1b[2Jb", "--a\x1b[2Jb"):
        for command in ((), ("serve",)):
            code, _, said = run_here(*command, argument)
            assert code == 2 and said.isascii() and "\x1b" not in said and said.count("\n") == 1


def test_nothing_asked_for_is_the_help() -> None:
    code, _, said = run_here()
    assert code == 2 and said.startswith("Usage: trioecho [OPTIONS] COMMAND")
