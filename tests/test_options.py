"""Every option is checked where it enters, and the sentence names it; the command line has the same ones."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, get_type_hints

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

from trioecho import OptionError
from trioecho.cli import app
from trioecho.settings import Options, Settings

GIB = 2**30
DAY = 86_400

SIZES = {"max_message_size": (1, GIB), "max_pending_bytes": (1, 64 * GIB)}
COUNTS = {"max_connections": (1, 10_000_000), "max_rooms": (1, 10_000_000)}
SECONDS = {
    "stall_limit": 0.01,
    "handshake_timeout": 0.01,
    "ping_interval": 0.01,
    "ping_timeout": 0.01,
    "shutdown_timeout": 0.0,
}
SWITCHES = ["page", "events", "stats", "health", "metrics"]
SWITCHED_OFF_BY_0 = {"ping_interval", "ping_timeout"}
CHOICES = {
    "to": ["others", "everyone", "sender"],
    "when_slow": ["wait", "disconnect", "drop-oldest", "drop-newest"],
}


def limits_with(option: str, value: Any) -> Settings:
    """Set one option, with the other size moved out of its way."""
    sizes: dict[str, dict[str, Any]] = {
        "max_message_size": {"max_pending_bytes": 64 * GIB},
        "max_pending_bytes": {"max_message_size": 1},
    }
    return Settings(**{option: value}, **sizes.get(option, {}))


def assert_refused(option: str, value: Any) -> None:
    with pytest.raises(OptionError) as caught:
        limits_with(option, value)
    assert caught.value.option == option
    assert str(caught.value) == f"{option} {caught.value.problem}"


def test_every_option_has_its_bounds_in_this_table() -> None:
    tested = {"prefix", "publish_token", *SWITCHES, *SIZES, *COUNTS, *SECONDS, *CHOICES}
    assert tested == {field.name for field in dataclasses.fields(Settings)}


@pytest.mark.parametrize(("option", "bounds"), [*SIZES.items(), *COUNTS.items()])
def test_a_whole_number_is_taken_up_to_its_bounds_and_no_further(
    option: str, bounds: tuple[int, int]
) -> None:
    low, high = bounds
    for value in (low, high):
        assert getattr(limits_with(option, value), option) == value
    for wrong in (low - 1, high + 1, -1, float(low), str(low), True, None):
        assert_refused(option, wrong)


@pytest.mark.parametrize(("option", "low"), SECONDS.items())
def test_seconds_are_taken_up_to_a_day_and_no_further(option: str, low: float) -> None:
    for value in (low, 1, DAY):
        assert getattr(limits_with(option, value), option) == value
    for wrong in (low - 0.001, DAY + 1, float("inf"), float("nan"), "1", True, None):
        assert_refused(option, wrong)
    if option not in SWITCHED_OFF_BY_0 and low > 0:
        assert_refused(option, 0)


@pytest.mark.parametrize("option", sorted(SWITCHED_OFF_BY_0))
def test_0_turns_pings_off(option: str) -> None:
    assert Settings().pings
    assert not limits_with(option, 0).pings


@pytest.mark.parametrize(("option", "choices"), CHOICES.items())
def test_a_policy_is_one_of_those_there_are(option: str, choices: list[str]) -> None:
    for choice in choices:
        assert getattr(limits_with(option, choice), option) == choice
    wrong: Any
    for wrong in ("", choices[0].upper(), None, 1, []):
        assert_refused(option, wrong)
    with pytest.raises(OptionError, match=", ".join(choices)):
        limits_with(option, "nonsense")


@pytest.mark.parametrize("prefix", ["", "Someone said: ", 1024 * "x", 512 * "é"])
def test_a_prefix_is_text_of_up_to_a_kilobyte(prefix: str) -> None:
    assert Settings(prefix=prefix).prefix == prefix


@pytest.mark.parametrize("prefix", [1025 * "x", 513 * "é", "\ud800", b"bytes", None])
def test_a_prefix_that_is_no_text_or_too_long_is_refused(prefix: Any) -> None:
    assert_refused("prefix", prefix)


@given(st.integers(1, GIB), st.integers(1, 64 * GIB))
def test_an_outbox_takes_at_least_the_largest_message(largest: int, pending: int) -> None:
    if pending >= largest:
        Settings(max_message_size=largest, max_pending_bytes=pending)
    else:
        with pytest.raises(OptionError, match=f"^max_pending_bytes .*max_message_size \\({largest}\\)"):
            Settings(max_message_size=largest, max_pending_bytes=pending)


@pytest.mark.parametrize("option", SWITCHES)
def test_a_switch_is_true_or_false(option: str) -> None:
    assert not getattr(limits_with(option, False), option)
    for value in (None, 0, 1, "no"):
        assert_refused(option, value)


@pytest.mark.parametrize("token", ["a", "AZaz09-._~+/", "padded==", "x" * 1024])
def test_a_token_is_taken_and_never_shown(token: str) -> None:
    assert Settings(publish_token=token).publish_token == token
    assert f"{token!r}" not in repr(Settings(publish_token=token))


@pytest.mark.parametrize("token", ["", " ", "two words", "line\n", "=", "a=b", "ü", "x" * 1025, 7, b"bytes"])
def test_what_cannot_be_a_bearer_token_is_refused_without_being_repeated(token: Any) -> None:
    with pytest.raises(OptionError) as caught:
        Settings(publish_token=token)
    assert caught.value.option == "publish_token"
    assert str(caught.value) == "publish_token must be letters, digits and any of -._~+/, then = if need be"


def test_the_defaults_are_those_that_are_promised() -> None:
    assert dataclasses.asdict(Settings()) == {
        "to": "others",
        "prefix": "",
        "when_slow": "wait",
        "max_pending_bytes": 4 * 2**20,
        "stall_limit": 5,
        "max_message_size": 2**20,
        "max_connections": 10_000,
        "max_rooms": 1_000,
        "handshake_timeout": 10,
        "ping_interval": 20,
        "ping_timeout": 20,
        "shutdown_timeout": 10,
        "page": True,
        "events": True,
        "stats": True,
        "health": True,
        "metrics": True,
        "publish_token": None,
    }


def test_arguments_and_fields_are_the_same_with_the_same_types() -> None:
    assert get_type_hints(Options) == get_type_hints(Settings)


def test_the_command_line_has_every_option_with_its_default_and_its_variable() -> None:
    """So whatever can be set is set by the same name, as an argument, an option or a variable."""
    command = get_command(app)
    serve = command.get_command(typer.Context(command), "serve")  # type: ignore[attr-defined]
    parameters = {parameter.name: parameter for parameter in serve.params}
    fields = {field.name: field.default for field in dataclasses.fields(Settings)}
    assert set(parameters) - set(fields) == {
        "host",
        "port",
        "metrics_address",
        "publish_token_file",
        "log_format",
        "log_level",
    }
    for name, parameter in parameters.items():
        assert parameter.opts == [f"--{name.replace('_', '-')}"]
        assert parameter.secondary_opts == ([f"--no-{name}"] if name in SWITCHES else [])
        assert parameter.envvar == f"TRIOECHO_{name.upper()}"
    for name, default in fields.items():
        assert parameters[name].default == default


def test_every_option_says_in_its_docstring_what_it_is_for() -> None:
    source = inspect.getsource(Settings)
    for field in dataclasses.fields(Settings):
        _, _, after = source.partition(f"\n    {field.name}: ")
        assert after.partition("\n")[2].lstrip().startswith('"""'), field.name
