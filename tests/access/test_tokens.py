"""The table of tokens: what a file says, that a wrong one changes nothing, and that nothing tells a token."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from trioecho.access.tokens import TokenTable, parse_token
from trioecho.options import OptionError

ADA = "b68a1c59f3c2a7e51d04"
BO = "0123456789-._~+/AZaz=="
SECRETS = (ADA, BO, "hunter2")


def digest(token: str) -> str:
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.touch(mode=0o600)
    return path


def assert_tells_nothing(text: str) -> None:
    assert [secret for secret in SECRETS if secret in text or digest(secret)[7:] in text] == []


def test_a_file_says_who_may_do_what(file: Path) -> None:
    file.write_text(
        f"# who   token\n\n  ada\t{ADA}   # of the office\r\n"
        f"bo {digest(BO)} rooms=/news,/team/** rights=subscribe\n"
        "cy#2 0123456789abcdef\n"
        "dee abcdefghijklmnop0 rights=publish,subscribe rooms=/x"
    )
    table = TokenTable(path=file)
    ada, bo, cy, dee = (table.find(token) for token in (ADA, BO, "0123456789abcdef", "abcdefghijklmnop0"))
    assert ada and ada.name == "ada" and ada.may_publish("/any") and ada.may_subscribe("/any")
    assert bo and bo.name == "bo" and bo.may_subscribe("/team/a") and not bo.may_publish("/team/a")
    assert not bo.may_subscribe("/other")
    assert cy and cy.name == "cy#2"
    assert dee and dee.may_publish("/x") and not dee.may_publish("/y")
    assert table.find(ADA + "x") is None
    assert table.find("") is None
    assert table.find("\ud800") is None
    assert table.find(digest(BO)) is None
    assert table.warnings == ()


def test_tokens_can_be_given_beside_a_file(file: Path) -> None:
    file.write_text(f"bo {BO}\n")
    table = TokenTable([parse_token(f"ada={ADA}"), ("cy", digest("x" * 20))], file)
    names = [identity.name for token in (ADA, BO, "x" * 20) if (identity := table.find(token))]
    assert names == ["ada", "bo", "cy"]
    assert TokenTable({"ada": ADA}).find(ADA) is not None


def test_a_tokens_own_equals_signs_stay_in_it() -> None:
    assert parse_token(f"bo={BO}") == ("bo", BO)
    with pytest.raises(OptionError, match="NAME=VALUE") as caught:
        parse_token(ADA)
    assert_tells_nothing(str(caught.value))


def test_nothing_that_is_kept_or_shown_holds_a_token(file: Path) -> None:
    file.write_text(f"bo {BO}\n")
    table = TokenTable({"ada": ADA}, file)
    assert repr(table) == "<TokenTable of 2>"
    assert_tells_nothing(repr(table) + repr(table.find(ADA)))
    for value in vars(table).values():
        assert_tells_nothing(repr(value))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (f"{ADA}", "a name and a token"),
        (f"ada={ADA}", "a name and a token"),
        (f"bo rooms=/a {ADA}", "must have a token of"),
        (f"bo,{ADA} {ADA}ä", "must have a token of"),
        (f"a=b {ADA}", "a name without"),
        (f"bo {ADA} rooms=/a rooms=/b", "each once"),
        (f"bo {ADA} rooms= /a", "only rooms= and rights="),
        (f"bo {ADA} rooms=", "must begin with a slash"),
        (f"bo {ADA} rooms=hunter2", "must begin with a slash"),
        (f"bo {ADA} rights=hunter2", "rights=publish,subscribe"),
        (f"bo {ADA} rights=", "rights=publish,subscribe"),
        (f"bo {ADA} hunter2", "only rooms= and rights="),
        (f"bo {ADA} hunter2=x", "only rooms= and rights="),
        ("bo sha256:hunter2", "64 hexadecimal"),
        ("bo SHA256:" + "0" * 63, "64 hexadecimal"),
        (f"bo {'x' * 1025}", "at most 1024"),
        (f"{'b' * 256} {ADA}", "at most 255"),
        (f"cy {BO}\nbo {ADA}\nbo hunter2", "line 5, has a name"),
        (f"cy {ADA}\nbo {digest(ADA)}", "line 4, has a token"),
        (f"cy {digest(ADA).upper().replace('SHA', 'sha')}\nbo {ADA}", "line 4, has a token"),
        ("\x00\x1b[2J hunter2", "name"),
    ],
)
def test_a_wrong_line_is_named_by_its_number_and_not_repeated(file: Path, line: str, problem: str) -> None:
    file.write_text(f"# a comment\n\n{line}\n")
    with pytest.raises(OptionError) as caught:
        TokenTable(path=file)
    assert caught.value.option == "token_file"
    assert problem in str(caught.value)
    assert f"{file}, line {line.count(chr(10)) + 3}," in str(caught.value)
    assert_tells_nothing(str(caught.value))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("tokens", "problem"),
    [
        ([("ada", "hunter2 ")], "number 1 must have a token"),
        ([("", ADA)], "number 1 must have a name"),
        ([("ada", ADA), ("bo", ADA)], "number 2 has a token"),
        ([("ada", ADA), ("ada", BO)], "number 2 has a name"),
    ],
)
def test_a_wrong_token_on_the_command_line_is_named_by_its_number(
    tokens: list[tuple[str, str]], problem: str
) -> None:
    with pytest.raises(OptionError, match=problem) as caught:
        TokenTable(tokens)
    assert caught.value.option == "token"
    assert_tells_nothing(str(caught.value))


def test_a_file_and_the_command_line_share_no_names(file: Path) -> None:
    file.write_text(f"ada {BO}\n")
    with pytest.raises(OptionError, match="line 1, has a name"):
        TokenTable({"ada": ADA}, file)


@pytest.mark.parametrize("content", [b"", b"# nobody\n\n", b"ada \xff\xfe\n", b"#" * (4 * 2**20 + 1)])
def test_a_file_without_tokens_is_an_error(file: Path, content: bytes) -> None:
    """It would lock everybody out; an editor that saves in two steps leaves one for a moment."""
    file.write_bytes(content)
    with pytest.raises(OptionError, match=r"has no tokens|not text|larger than"):
        TokenTable(path=file)


def test_what_is_no_file_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, problem in (
        ("none", "no such file"),
        ("", "is a directory"),
        ("pipe", "not an ordinary file"),
    ):
        with pytest.raises(OptionError, match=problem) as caught:
            TokenTable(path=tmp_path / name)
        assert str(tmp_path) in str(caught.value)
    with pytest.raises(OptionError, match="no file's name"):
        TokenTable(path="a\0b")


def test_reading_again_takes_the_place_of_the_old_table(file: Path) -> None:
    file.write_text(f"ada {ADA}\n")
    table = TokenTable({"cy": "c" * 20}, file)
    file.write_text(f"bo {BO}\n")
    table.reload()
    assert table.find(ADA) is None
    assert table.find(BO) is not None
    assert table.find("c" * 20) is not None


@pytest.mark.parametrize("wrong", [f"bo {BO}\nada\n", "", f"bo {BO}\nbo {ADA}\n", None])
def test_a_wrong_file_keeps_the_old_table_whole(file: Path, wrong: str | None) -> None:
    file.write_text(f"ada {ADA}\n")
    table = TokenTable(path=file)
    if wrong is None:
        file.unlink()
    else:
        file.write_text(wrong)
    with pytest.raises(OptionError, match=r"line 2|has no tokens|no such file"):
        table.reload()
    assert table.find(ADA) is not None
    assert table.find(BO) is None


def test_a_file_everybody_can_read_is_warned_of(file: Path) -> None:
    file.write_text(f"ada {ADA}\n")
    file.chmod(0o644)
    table = TokenTable(path=file)
    assert [f"chmod o-r {file}" in warning for warning in table.warnings] == [True]
    file.chmod(0o640)
    table.reload()
    assert not table.warnings


def test_a_short_token_is_warned_of_without_repeating_it(file: Path) -> None:
    file.write_text("\nada hunter2\n")
    table = TokenTable({"bo": "hunter3"}, file)
    assert ["number 1" in table.warnings[0], "line 2" in table.warnings[1]] == [True, True]
    assert_tells_nothing(" ".join(table.warnings))
