"""Expressions of rules, compiled once and evaluated in a sandbox.

Values of a snapshot are data: an expression may compare them and never runs them, and nothing here can make a small
hostile value large."""

from __future__ import annotations

import datetime
import math
import re
import warnings
from collections.abc import Mapping
from types import CodeType
from typing import Any, cast

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, Undefined, nodes, pass_context
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

_STRING_METHODS = frozenset(["endswith", "lower", "split", "splitlines", "startswith", "strip", "upper"])
# No format, attr, center, indent or replace: a hostile value could choose a width, a method or a multiplier.
_STOCK_FILTERS = """
    abs default d dictsort first items join last length count list lower map max min reject rejectattr round select
    selectattr sort string sum trim unique upper
"""
_REGEX_INPUT = 4096  # the expression is ours, the text is the host's


class Missing(StrictUndefined):
    """An absent value; its error says only the name, from which the reason is looked up."""

    @property
    def _undefined_message(self) -> str:
        return str(self._undefined_name)


class Sandbox(ImmutableSandboxedEnvironment):
    """Plain data in, plain data out: keys win over methods, and only harmless methods exist."""

    intercepted_binops = frozenset(["*", "**", "%", "/", "//"])

    def __init__(self) -> None:
        super().__init__(undefined=Missing, autoescape=False)
        self.globals.clear()
        self.filters = {name: self.filters[name] for name in _STOCK_FILTERS.split()} | FILTERS
        self.tests["matches"] = matches

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute`: a key of a mapping, or a harmless method."""
        if isinstance(obj, Mapping):
            if attribute in obj:
                return obj[attribute]
            if attribute == "get":
                return obj.get
        elif isinstance(obj, str) and attribute in _STRING_METHODS:
            return getattr(obj, attribute)
        return self._absent(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]`: never an attribute."""
        if isinstance(obj, (Mapping, list, tuple, str)):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                pass
        return self._absent(obj, argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Numbers only: `*` on a text repeats it, `%` on a text formats it, `**` grows without bound."""
        for value in (left, right):
            if isinstance(value, Undefined):
                bool(value)
            if not isinstance(value, (int, float)) or operator == "**":
                raise TypeError(f"'{operator}' is for numbers, not {type(value).__name__}")
        return super().call_binop(context, operator, left, right)

    def _absent(self, obj: Any, name: Any) -> Missing:
        if isinstance(obj, Undefined):
            bool(obj)  # raises: the first missing part of a path is the one to name
        return Missing(name=str(name)[:200])


class Expression:
    """One compiled expression."""

    __slots__ = ("_template", "code", "source")

    def __init__(self, source: str, code: CodeType | None = None) -> None:
        """Compile, unless its code is there from before; raises ValueError with what is wrong."""
        self.source = source
        self.code = code or self._compile(source)
        self._template = Template.from_code(SANDBOX, self.code, {})

    @staticmethod
    def _compile(source: str) -> CodeType:
        try:
            with (
                warnings.catch_warnings()
            ):  # of a backslash in a regular expression, which stays as it is written
                warnings.simplefilter("ignore", DeprecationWarning)
                parser = Parser(SANDBOX, source, state="variable")
                expression = parser.parse_expression()
            if not parser.stream.eos:
                raise ValueError(f"unexpected '{parser.stream.current.value}' after the expression")
            expression.set_environment(SANDBOX)
            body: list[nodes.Node] = [nodes.Assign(nodes.Name("result", "store"), expression, lineno=1)]
            return cast("CodeType", SANDBOX.compile(nodes.Template(body, lineno=1)))
        except TemplateSyntaxError as error:
            raise ValueError(str(error.message)) from None

    def __call__(self, variables: dict[str, Any]) -> Any:
        """The expression's value; raises what the evaluation raises."""
        context = self._template.new_context(variables)
        for _ in self._template.root_render_func(context):
            pass
        value = context.vars["result"]
        if isinstance(value, Undefined):
            bool(value)
        return value


def instant(value: Any) -> datetime.datetime:
    """A date or an RFC 3339 instant; without an offset it is UTC."""
    if isinstance(value, Undefined):
        bool(value)  # raises: a value that was not read has its own reason
    if isinstance(value, datetime.datetime):
        moment = value
    elif isinstance(value, datetime.date):
        moment = datetime.datetime(value.year, value.month, value.day)
    elif isinstance(value, str):
        moment = datetime.datetime.fromisoformat(value[:40])
    else:
        raise TypeError(f"{type(value).__name__} is not an instant")
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def seconds_between(earlier: Any, later: Any) -> float:
    """Seconds from one instant to another."""
    return (instant(later) - instant(earlier)).total_seconds()


@pass_context
def days_until(context: Any, value: Any) -> float:
    """Days from the snapshot's instant to this one; negative when it is past."""
    return seconds_between(context["now"], value) / 86400


@pass_context
def age_days(context: Any, value: Any) -> float:
    """Days from this instant to the snapshot's."""
    return seconds_between(value, context["now"]) / 86400


def human_bytes(value: Any) -> str:
    """1610612736 -> 1.5 GiB."""
    size = number(value)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(size) < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def number(value: Any) -> float:
    """A finite number; anything else is an error and never a silent 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(f"{type(value).__name__} is not a number")
    result = float(value[:64]) if isinstance(value, str) else float(value)
    if not math.isfinite(result):
        raise ValueError("the number is not finite")
    return result


def matches(value: Any, pattern: str) -> bool:
    """Whether the regular expression is found in a text."""
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} is not a text")
    return re.search(pattern, value[:_REGEX_INPUT]) is not None


FILTERS = {
    "age_days": age_days,
    "bytes": human_bytes,
    "days_until": days_until,
    "float": number,
    "int": lambda value: int(number(value)),
    "seconds_between": seconds_between,
}
SANDBOX = Sandbox()
