"""Every option is checked where it enters, and the sentence names it; the command line has the same ones."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from itertools import pairwise
from typing import Annotated, Any, ClassVar, get_type_hints

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

from trioecho import OptionError, Options, Settings, serve
from trioecho.cli import app
from trioecho.cli.declared import parameters
from trioecho.cli.logs import Logging
from trioecho.cli.reference import options_reference
from trioecho.option_kinds import Secret, TokenPairs
from trioecho.options import Group, declared, groups_of
from trioecho.rates import Rate
from trioecho.settings import Listening

GIB = 2**30
DAY = 86_400

SIZES = {
    "max_message_size": (1, GIB),
    "max_pending_bytes": (1, 64 * GIB),
    "max_memory": (0, 1024 * GIB),
    "compress_min": (1, 2**20),
    "history_bytes": (1, 64 * GIB),
    "history_total": (0, 64 * GIB),
}
COUNTS = {
    "max_connections": (1, 10_000_000),
    "max_rooms": (1, 10_000_000),
    "max_connections_per_address": (0, 10_000_000),
    "compress_level": (1, 9),
    "history": (0, 1_000_000),
}
SHARES = {"stall_share"}
RATES = ["rate", "rate_bytes", "connection_rate_per_address", "room_rate_per_address", "room_rate_per_name"]
SECONDS = {
    "stall_limit": 0.01,
    "message_timeout": 0.01,
    "handshake_timeout": 0.01,
    "ping_interval": 0.01,
    "ping_timeout": 0.01,
    "shutdown_timeout": 0.0,
    "drain": 0.0,
    "history_age": 0.01,
    "engine_patience": 0.0,
}
ACCESS = {
    "origin",
    "allowed_host",
    "token",
    "token_file",
    "token_cookie",
    "jwt_key_file",
    "jwt_algorithm",
    "jwt_jwks_file",
    "jwt_audience",
    "jwt_issuer",
    "jwt_leeway",
    "room",
}
"""Those whose values are tested in tests/access and tests/server."""

SWITCHES = [
    "page",
    "events",
    "stats",
    "presence",
    "health",
    "metrics",
    "status",
    "allow_query_token",
    "proxy_protocol",
    "compress",
]
SWITCHED_OFF_BY_0 = {"ping_interval", "ping_timeout", "message_timeout"}
CHOICES = {
    "to": ["others", "everyone", "sender"],
    "over_rate": ["slow", "disconnect"],
    "when_engine_down": ["local", "wait"],
    "order": ["room", "node"],
    "when_slow": ["wait", "disconnect", "drop-oldest", "drop-newest"],
}


def settings_with(option: str, value: Any) -> Settings:
    """Set one option, with the other size moved out of its way."""
    sizes: dict[str, dict[str, Any]] = {
        "max_message_size": {"max_pending_bytes": 64 * GIB, "max_memory": 64 * GIB},
        "max_pending_bytes": {"max_message_size": 1},
    }
    return Settings(**{option: value}, **sizes.get(option, {}))


def assert_refused(option: str, value: Any) -> None:
    with pytest.raises(OptionError) as caught:
        settings_with(option, value)
    assert caught.value.option == option
    assert str(caught.value) == f"{option} {caught.value.problem}"


def test_every_option_has_its_bounds_in_this_table() -> None:
    tested = {
        "prefix",
        "tell_missed",
        "public_url",
        *ACCESS,
        "subprotocols",
        "tls_cert",
        "tls_key",
        "tls_client_ca",
        "trusted_proxy",
        "no_compress_room",
        "engine",
        "engine_prefix",
        *SWITCHES,
        *SIZES,
        *COUNTS,
        *RATES,
        *SECONDS,
        *SHARES,
        *CHOICES,
    }
    assert tested == {field.name for field in dataclasses.fields(Settings)}


@pytest.mark.parametrize(("option", "bounds"), [*SIZES.items(), *COUNTS.items()])
def test_a_whole_number_is_taken_up_to_its_bounds_and_no_further(
    option: str, bounds: tuple[int, int]
) -> None:
    low, high = bounds
    for value in (low, high):
        assert getattr(settings_with(option, value), option) == value
    for wrong in (low - 1, high + 1, -1, float(low), str(low), True, None):
        assert_refused(option, wrong)


@pytest.mark.parametrize(("option", "low"), SECONDS.items())
def test_seconds_are_taken_up_to_a_day_and_no_further(option: str, low: float) -> None:
    for value in (low, 1, DAY):
        assert getattr(settings_with(option, value), option) == value
    for wrong in (low - 0.001, DAY + 1, float("inf"), float("nan"), "1", True, None):
        assert_refused(option, wrong)
    if option not in SWITCHED_OFF_BY_0 and low > 0:
        assert_refused(option, 0)


@pytest.mark.parametrize("option", sorted(SHARES))
def test_a_share_is_a_number_from_0_to_1(option: str) -> None:
    for value in (0, 0.25, 1):
        assert getattr(settings_with(option, value), option) == value
    for wrong in (-0.1, 1.01, float("nan"), "0.1", True, None):
        assert_refused(option, wrong)


@pytest.mark.parametrize("option", ["ping_interval", "ping_timeout"])
def test_0_turns_pings_off(option: str) -> None:
    assert Settings().pings
    assert not settings_with(option, 0).pings


@pytest.mark.parametrize(("option", "choices"), CHOICES.items())
def test_a_policy_is_one_of_those_there_are(option: str, choices: list[str]) -> None:
    for choice in choices:
        assert getattr(settings_with(option, choice), option) == choice
    wrong: Any
    for wrong in ("", choices[0].upper(), None, 1, []):
        assert_refused(option, wrong)
    with pytest.raises(OptionError, match=", ".join(choices)):
        settings_with(option, "nonsense")


@pytest.mark.parametrize("prefix", ["", "Someone said: ", 1024 * "x", 512 * "é"])
def test_a_prefix_is_text_of_up_to_a_kilobyte(prefix: str) -> None:
    assert Settings(prefix=prefix).prefix == prefix


def test_what_tells_of_missed_messages_is_text_of_up_to_a_kilobyte() -> None:
    assert Settings(tell_missed='{"missed": %d}').tell_missed == '{"missed": %d}'
    for wrong in (1025 * "x", "\ud800", b"%d", 1):
        assert_refused("tell_missed", wrong)


@pytest.mark.parametrize("prefix", [1025 * "x", 513 * "é", "\ud800", b"bytes", None])
def test_a_prefix_that_is_no_text_or_too_long_is_refused(prefix: Any) -> None:
    assert_refused("prefix", prefix)


@given(st.integers(1, GIB), st.integers(1, 64 * GIB))
def test_an_outbox_takes_at_least_the_largest_message(largest: int, pending: int) -> None:
    if pending >= largest:
        Settings(max_message_size=largest, max_pending_bytes=pending, max_memory=GIB)
    else:
        with pytest.raises(OptionError, match=f"^max_pending_bytes .*max_message_size \\({largest}\\)"):
            Settings(max_message_size=largest, max_pending_bytes=pending)


def test_memory_is_enough_for_the_largest_message_or_has_no_bound() -> None:
    Settings(max_message_size=2**20, max_memory=2**20)
    Settings(max_message_size=GIB, max_pending_bytes=GIB, max_memory=0)
    with pytest.raises(OptionError, match=r"^max_memory must be at least max_message_size \(1048576\)"):
        Settings(max_message_size=2**20, max_memory=2**20 - 1)


@pytest.mark.parametrize("option", SWITCHES)
def test_a_switch_is_true_or_false(option: str) -> None:
    assert not getattr(settings_with(option, False), option)
    for value in (None, 0, 1, "no"):
        assert_refused(option, value)


@pytest.mark.parametrize("option", RATES)
def test_a_rate_is_parsed_and_kept_and_what_is_none_is_refused_by_its_name(option: str) -> None:
    rate = Rate(per_second=20, burst=40)
    assert getattr(settings_with(option, "20/s:40"), option) == rate
    assert getattr(settings_with(option, rate), option) == rate
    for wrong in ("", "20", "-1/s", "20/day", "0/s", 20, b"20/s", ()):
        assert_refused(option, wrong)


def test_only_a_rate_of_bytes_has_units() -> None:
    assert Settings(rate_bytes="256KiB/s").rate_bytes == Rate(per_second=2**18, burst=2**18)
    assert_refused("rate", "256KiB/s")


URLS = {
    "http://localhost:8000": "http://localhost:8000/",
    "https://chat.example.com/": "https://chat.example.com/",
    "wss://chat.example.com/a/b": "wss://chat.example.com/a/b/",
    "ws://[::1]:80": "ws://[::1]:80/",
}


@pytest.mark.parametrize("url", URLS)
def test_a_public_url_is_kept_with_a_slash_at_its_end(url: str) -> None:
    assert Settings(public_url=url).public_url == URLS[url]


def test_a_public_url_can_be_had_for_http_and_for_websockets() -> None:
    for scheme in ("https", "wss"):
        settings = Settings(public_url=f"{scheme}://chat.example.com/a")
        assert settings.public("http") == "https://chat.example.com/a/"
        assert settings.public("ws") == "wss://chat.example.com/a/"
    assert Settings(public_url="http://chat.example.com").public("ws") == "ws://chat.example.com/"
    assert Settings().public("http") is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/",
        "chat.example.com",
        "ftp://chat.example.com/",
        "https:///path",
        "https://chat.example.com/?room=1",
        "https://chat.example.com/#top",
        "https://user:secret@chat.example.com/",
        "https://chat.example.com:port/",
        "https://chat.example.com:70000/",
        "https://chat example.com/",
        "https://chät.example.com/",
        "https://chat.example.com/\n",
        "https://[::1/",
        7,
        b"https://chat.example.com/",
    ],
)
def test_what_is_no_url_of_a_server_is_refused(url: Any) -> None:
    assert_refused("public_url", url)


@pytest.mark.parametrize(
    "names", [(), ("chat",), ("v2.chat", "v1.chat"), ["chat"], ("!#$%&'*+-.^_`|~09AZaz",)]
)
def test_subprotocols_are_tokens_and_kept_as_a_tuple(names: Any) -> None:
    assert Settings(subprotocols=names).subprotocols == tuple(names)


@pytest.mark.parametrize(
    "names",
    ["chat", ("",), ("two words",), ("a,b",), ("é",), ("x" * 129,), ("a", "b", "a"), (b"a",), (1,), None, 7],
)
def test_subprotocols_that_are_no_tokens_or_named_twice_are_refused(names: Any) -> None:
    assert_refused("subprotocols", names)


def test_a_wrong_value_is_quoted_up_to_a_bound() -> None:
    with pytest.raises(OptionError) as caught:
        Settings(public_url="x" * 100_000)
    assert len(str(caught.value)) < 300


def test_the_defaults_are_those_that_are_promised() -> None:
    assert dataclasses.asdict(Settings()) == {
        "to": "others",
        "prefix": "",
        "subprotocols": (),
        "history": 100,
        "history_bytes": 256 * 1024,
        "history_age": 60,
        "history_total": 64 * 2**20,
        "engine": None,
        "engine_prefix": "te1",
        "order": "room",
        "engine_patience": 5.0,
        "when_engine_down": "local",
        "when_slow": "wait",
        "max_pending_bytes": 4 * 2**20,
        "tell_missed": None,
        "stall_limit": 5,
        "compress": True,
        "compress_level": 3,
        "compress_min": 64,
        "no_compress_room": (),
        "stall_share": 0.1,
        "max_message_size": 2**20,
        "max_memory": 2**29,
        "message_timeout": 60,
        "max_connections": 10_000,
        "max_rooms": 1_000,
        "handshake_timeout": 10,
        "ping_interval": 20,
        "ping_timeout": 20,
        "shutdown_timeout": 10,
        "drain": 0,
        "rate": None,
        "rate_bytes": None,
        "over_rate": "slow",
        "max_connections_per_address": 0,
        "connection_rate_per_address": None,
        "room_rate_per_address": None,
        "room_rate_per_name": None,
        "page": True,
        "events": True,
        "stats": True,
        "presence": True,
        "health": True,
        "metrics": True,
        "status": True,
        "public_url": None,
        "origin": ("self",),
        "allowed_host": (),
        "token": (),
        "token_file": None,
        "token_cookie": None,
        "allow_query_token": False,
        "jwt_key_file": None,
        "jwt_algorithm": None,
        "jwt_jwks_file": None,
        "jwt_audience": None,
        "jwt_issuer": None,
        "jwt_leeway": 0,
        "room": (),
        "tls_cert": None,
        "tls_key": None,
        "tls_client_ca": None,
        "trusted_proxy": (),
        "proxy_protocol": False,
    }
    assert dataclasses.asdict(Listening()) == {
        "host": ("127.0.0.1",),
        "port": 7890,
        "unix": None,
        "unix_mode": "660",
        "workers": "1",
        "metrics_address": None,
    }


def test_arguments_and_fields_are_the_same_with_the_same_types() -> None:
    hints = get_type_hints(Settings)
    assert get_type_hints(Options) == {name: hints[name] for name in declared(Settings)}


def test_where_to_listen_is_the_same_for_serve_and_the_command_line() -> None:
    keywords = inspect.signature(serve).parameters
    for name, option in declared(Listening).items():
        default = getattr(Listening, name)
        assert option.check(name, default) == default
        if name in ("unix", "unix_mode", "workers"):
            continue  # an application brings a listener, and is one process
        assert keywords[name].default == (default[0] if isinstance(default, tuple) else default)


def serve_parameters() -> dict[str, Any]:
    command = get_command(app)
    serve = command.get_command(typer.Context(command), "serve")  # type: ignore[attr-defined]
    return {parameter.name: parameter for parameter in serve.params}


def test_the_command_line_has_every_option_with_its_default_and_its_variable() -> None:
    """So whatever can be set is set by the same name, as an argument, an option or a variable."""
    parameters = serve_parameters()
    declarations = {**declared(Listening), **declared(Settings), **declared(Logging)}
    # A secret can be read from a file, too.
    files = {f"{name}_file" for name, option in declarations.items() if isinstance(option, Secret)}
    assert set(parameters) == set(declarations) | files
    for name, parameter in parameters.items():
        dashed = {"subprotocols": "subprotocol"}.get(name, name).replace("_", "-")
        assert parameter.opts == [f"--{dashed}"]
        assert parameter.secondary_opts == ([f"--no-{dashed}"] if name in SWITCHES else [])
        word = {"token": "tokens"}.get(name, dashed)
        assert parameter.envvar == f"TRIOECHO_{word.upper().replace('-', '_')}"
    for group in (Listening, Settings, Logging):
        for field in dataclasses.fields(group):
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            assert parameters[field.name].default == default


GROUPS = [*groups_of(Listening), *groups_of(Settings), *groups_of(Logging)]


def test_every_group_is_a_heading_of_the_help_in_its_order() -> None:
    headings = list(dict.fromkeys(parameter.rich_help_panel for parameter in serve_parameters().values()))
    assert headings == [group.title for group in GROUPS]


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_says_in_its_docstring_what_it_is_for(group: type[Group]) -> None:
    (tree,) = ast.parse(inspect.getsource(group)).body
    assert isinstance(tree, ast.ClassDef)
    documented = {
        statement.target.id
        for statement, following in pairwise(tree.body)
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
    }
    assert documented == set(declared(group))


@pytest.mark.parametrize("group", GROUPS)
def test_a_secret_is_shown_by_nothing(group: type[Group]) -> None:
    for field in dataclasses.fields(group):  # type: ignore[arg-type]
        assert field.repr is not isinstance(declared(group)[field.name], (Secret, TokenPairs)), field.name


def test_a_group_of_a_users_own_is_checked_and_listed_like_ours() -> None:
    """What the next groups need: one dataclass, and one more base of the settings."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Access(Group):
        title: ClassVar = "Access"

        api_key: Annotated[str | None, Secret("Key.")] = dataclasses.field(default=None, repr=False)

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class More(Settings, Access):
        pass

    assert groups_of(More) == [*groups_of(Settings), Access]
    assert More(api_key="secret").api_key == "secret"
    assert "secret" not in repr(More(api_key="secret"))
    with pytest.raises(OptionError, match=r"^api_key must be letters"):
        More(api_key="two words")
    with pytest.raises(OptionError, match=r"^max_rooms must be"):
        More(max_rooms=0)
    assert [parameter.name for parameter in parameters(Access)] == ["api_key", "api_key_file"]


def test_the_reference_lists_every_option_of_serve() -> None:
    text = options_reference()
    for name, parameter in serve_parameters().items():
        (line,) = [line for line in text.splitlines() if re.match(rf"\| `{parameter.opts[0]}[ `]", line)]
        assert f"`{parameter.envvar}`" in line
        if name in {field.name for field in dataclasses.fields(Settings)}:
            assert f"`{name}`" in line
    for group in GROUPS:
        assert f"### {group.title}\n\n|" in text
    assert "| 4MiB |" in text and "| 5 |" in text and "seconds" in text and "bytes" in text
