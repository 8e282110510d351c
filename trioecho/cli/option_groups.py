"""
Options declared as the fields of a dataclass, and spread into the commands that take it.

A :class:`trioecho.options.Group` declares what an option is, and :mod:`trioecho.cli.declared` knows how it is
typed; other dataclasses, for what only the command line knows, have typer's own declarations.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

import typer

from trioecho.cli.declared import parameters, problem_of, taken
from trioecho.options import Group, OptionError, groups_of

__all__ = ["spread"]

CONTEXT = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
"""What typer hands a command to say where its arguments come from."""


def spread(**groups: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """
    Give a command the fields of dataclasses as options of its own.

    The command takes an instance of each class as the keyword argument of that name; typer sees the fields in
    its place, each with the annotation it has in the class.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [
            parameter
            for parameter in inspect.signature(command, eval_str=True).parameters.values()
            if parameter.name not in groups
        ]
        shared = [parameter for group in groups.values() for parameter in _parameters(group)]

        def spread_out(**given: Any) -> None:
            context: typer.Context = given.pop(CONTEXT.name)
            try:
                for name, group in groups.items():
                    names = [parameter.name for parameter in _parameters(group)]
                    values = {name: given.pop(name) for name in names}
                    given[name] = group(**taken(group, values) if issubclass(group, Group) else values)
                command(**given)
            except OptionError as error:
                if (called := _variable_of(error.option, context)) is None:
                    raise
                raise typer.BadParameter(problem_of(error), param_hint=called) from None

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *shared, CONTEXT)]
        spread_out.__name__ = command.__name__
        # The help fits paragraphs to the terminal itself, if they are one line each.
        paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
        spread_out.__doc__ = "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)
        spread_out.__annotations__ = {p.name: p.annotation for p in parameters}
        spread_out.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return spread_out

    return decorate


def _variable_of(name: str, context: typer.Context) -> str | None:
    """Return the variable that gave a parameter its value, if one did: the user may know of no flag."""
    source = context.get_parameter_source(name)
    if source is None or source.name != "ENVIRONMENT":
        return None
    return next((str(param.envvar) for param in context.command.params if param.name == name), None)


def _parameters(group: type[Any]) -> list[inspect.Parameter]:
    if issubclass(group, Group):
        return [parameter for each in groups_of(group) for parameter in parameters(each)]
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default_factory() if field.default_factory is not MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]
