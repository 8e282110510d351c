"""Which names a room may have: one rule, for those who name it in a URL and those who name it in a call."""

from __future__ import annotations

import pytest

from trioecho.protocol.room_name import RoomNameError, RoomNameTooLong, check_room_name, decode_room_name


@pytest.mark.parametrize("name", ["/", "/news", "/a/b", "/café", "//", "/" + 254 * "x", "/" + 127 * "é"])
def test_a_name_begins_with_a_slash_and_fits(name: str) -> None:
    assert check_room_name(name) == name.encode()
    assert decode_room_name(name.encode()) == name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "must begin with a slash, as in '/', not ''"),
        ("news", "must begin with a slash, as in '/news', not 'news'"),
        (10**6 * "x", "must begin with a slash"),
        ("/\ud800", "UTF-8"),
    ],
)
def test_other_names_are_rejected_in_a_sentence_of_one_line(name: str, problem: str) -> None:
    with pytest.raises(RoomNameError) as caught:
        check_room_name(name)
    assert problem in str(caught.value)
    assert len(str(caught.value)) < 200 and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["/" + 255 * "x", "/" + 128 * "é"])
def test_a_name_has_at_most_255_bytes_not_characters(name: str) -> None:
    with pytest.raises(RoomNameTooLong, match=r"at most 255 bytes, not 25[67]"):
        check_room_name(name)
    with pytest.raises(RoomNameTooLong, match=r"at most 255 bytes, not 25[67]"):
        decode_room_name(name.encode())


def test_a_path_must_be_utf_8() -> None:
    with pytest.raises(RoomNameError, match="must be UTF-8"):
        decode_room_name(b"/\xff")


def test_a_name_of_another_type_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="is a str, not bytes"):
        check_room_name(b"/news")  # type: ignore[arg-type]
