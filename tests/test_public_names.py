"""What ``import trioecho`` gives: few names, each explained, and every error that its users can meet."""

from __future__ import annotations

import inspect
import pydoc
import re
from typing import get_type_hints

import pytest

import trioecho
import trioecho.client.errors

NAMES = sorted(trioecho.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there_and_explained(name: str) -> None:
    public = getattr(trioecho, name)
    own = public.__doc__
    # An undocumented dataclass has its signature for a docstring.
    assert own and own.strip() and not own.startswith(f"{name}(")
    if inspect.isclass(public):
        for attribute, value in vars(public).items():
            if not attribute.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                assert inspect.getdoc(value), f"{name}.{attribute}"


def test_every_error_of_the_client_can_be_caught_by_a_public_name() -> None:
    assert set(trioecho.client.errors.__all__) <= set(trioecho.__all__)


def test_the_options_of_serve_are_typed_by_public_names() -> None:
    assert get_type_hints(trioecho.serve)["options"].__args__ == (trioecho.Options,)
    assert {"Settings", "Options", "OptionError"} <= set(trioecho.__all__)


PYTHONS_OWN = re.compile("__|_dataclass_|_proto_hook|_no_init_or_replace_init")


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_nothing_private(name: str) -> None:
    """No attribute, method or parameter of ours; names that Python itself gives are not ours."""
    text = pydoc.plain(pydoc.render_doc(getattr(trioecho, name)))
    own = [line for line in text.splitlines() if not PYTHONS_OWN.search(line)]
    assert [line for line in own if re.search(r"^ ?\|? {2,4}_[a-z]|[(,] ?_[a-z]", line)] == []
