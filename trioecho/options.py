"""
How an option is declared: once, as the annotation of a dataclass field.

For example, in a subclass of :class:`Group`::

    stall_limit: Annotated[float, Seconds("How long one client may hold up its room.", low=0.01)] = 5.0

From that one line come the keyword argument of ``serve()`` and its check, ``--stall-limit`` with its help,
``TRIOECHO_STALL_LIMIT``, and an entry in the manual's reference. The kinds of options there are stand in
:mod:`trioecho.option_kinds`; how one is typed on a command line is the business of :mod:`trioecho.cli`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar, cast, get_type_hints

__all__ = ["Group", "Option", "OptionError", "declared", "groups_of"]


class OptionError(ValueError):
    """
    An option has a value that cannot work.

    ``option`` is its name as a keyword argument; ``problem`` the rest of the sentence. ``mentions`` are the
    names of other options in that, if it quotes nothing of what was given: the command line has other names.
    """

    def __init__(self, option: str, problem: str, *, mentions: Sequence[str] = ()) -> None:
        super().__init__(f"{option} {problem}")
        self.option = option
        self.problem = problem
        self.mentions = mentions


@dataclass(frozen=True)
class Option:
    """
    What is known of one option beside its name, type and default; subclasses are the kinds there are.

    Attributes:
        help: one or two sentences for ``--help``; the reasons stand in the field's docstring.
        metavar: what stands for its value in the help; empty for a switch.
        unit: what its number counts; empty if it is no number.
        flag: its name on the command line, where that is not the field's (``subprotocol``, given repeatedly).
        variable: its environment variable, where that does not follow from its name.

    """

    help: str
    metavar: str = ""
    flag: str = ""
    variable: str = ""

    unit: ClassVar[str] = ""

    def check(self, name: str, value: Any) -> Any:
        """
        Return the value to keep.

        Raises:
            OptionError: the value is of the wrong type or out of bounds.

        """
        raise NotImplementedError


class Group:
    """A dataclass of options that belong together: ``title`` says what they are about, in the help too."""

    title: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """Check every value, so that nothing further in has to."""
        for name, option in declared(type(self)).items():
            # The checked value may be another one: a tuple for a list, a URL with its slash.
            object.__setattr__(self, name, option.check(name, getattr(self, name)))


def declared(group: type[Group]) -> Mapping[str, Option]:
    """Return the options of a group by their names, those of its bases included."""
    return _declared(cast(Any, group))


@cache
def _declared(group: Any) -> Mapping[str, Option]:
    found = {}
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        (found[field.name],) = [note for note in hints[field.name].__metadata__ if isinstance(note, Option)]
    return MappingProxyType(found)


def groups_of(group: type[Group]) -> list[type[Group]]:
    """Return the groups that a group is composed of, in the order of its bases; just itself if of none."""
    bases = [base for base in group.__bases__ if base is not Group]
    return [each for base in bases for each in groups_of(base)] if bases else [group]
