"""Charts as PNG, drawn without a display. matplotlib takes a second to import: only a report asks for it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maintenance.documents.clean import clean
from maintenance.documents.table import size
from maintenance.documents.words import Words
from maintenance.local_time import parse
from maintenance.record import Forecast

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 200
_WIDTH = 6.3  # inches
_COLOURS = {
    "pass": "#70AD47",
    "advice": "#9DC3E6",
    "warning": "#FFC000",
    "critical": "#E2584D",
    "unknown": "#A6A6A6",
    "other": "#D9D9D9",
}
_VERDICT_COLOURS = {
    "pass": "#70AD47",
    "partial": "#FFC000",
    "fail": "#E2584D",
    "manual": "#9DC3E6",
    "unknown": "#A6A6A6",
    "not_applicable": "#E7E6E6",
}
_INK, _BLUE = "#1F3A5F", "#5B9BD5"
_BARS = 20
_PANELS = 6


def by_area(counts: dict[str, dict[str, int]], words: Words, path: Path) -> Path:
    """Stacked bars: how the checks of each area went."""
    return _stacked(counts, _COLOURS, words, path)


def by_verdict(counts: dict[str, dict[str, int]], words: Words, path: Path) -> Path:
    """Stacked bars: how the items of each chapter of an assessment stand."""
    return _stacked(counts, _VERDICT_COLOURS, words, path)


def _stacked(counts: dict[str, dict[str, int]], colours: dict[str, str], words: Words, path: Path) -> Path:
    figure, axes = _figure(0.9 + 0.3 * max(3, len(counts)))
    left = [0] * len(counts)
    names = [_label(words(area)) for area in counts]
    for kind, colour in colours.items():
        values = [area.get(kind, 0) for area in counts.values()]
        if any(values):
            bars = axes.barh(names, values, left=left, color=colour, label=words(kind), height=0.62)
            shown = [str(value) if value else "" for value in values]
            axes.bar_label(bars, labels=shown, label_type="center", fontproperties=_font(7))
            left = [before + value for before, value in zip(left, values, strict=True)]
    _from_the_top(axes, len(names))
    axes.locator_params(axis="x", integer=True)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=6, frameon=False, prop=_font(8))
    return _save(figure, axes, path)


def use(uses: Sequence[tuple[str, float]], path: Path) -> Path:
    """Bars of percent, the fullest first."""
    shown = sorted(uses, key=lambda one: -one[1])[:_BARS]
    figure, axes = _figure(0.6 + 0.25 * max(3, len(shown)))
    colours = [_COLOURS["critical" if use >= 90 else "warning" if use >= 80 else "pass"] for _, use in shown]
    bars = axes.barh(
        _distinct([name for name, _ in shown]), [use for _, use in shown], color=colours, height=0.62
    )
    axes.bar_label(bars, fmt="%.1f %%", padding=2, fontproperties=_font(7))
    axes.set_xlim(0, 108)
    for limit in (80, 90):
        axes.axvline(limit, color="#7F7F7F", linewidth=0.8, linestyle=":")
    _from_the_top(axes, len(shown))
    return _save(figure, axes, path)


def sizes(values: Sequence[tuple[str, float]], path: Path) -> Path:
    """Bars of bytes, the largest first."""
    shown = sorted(values, key=lambda one: -one[1])[:_BARS]
    largest, (scale, unit) = shown[0][1], _unit(shown[0][1])
    figure, axes = _figure(0.75 + 0.25 * max(3, len(shown)))
    bars = axes.barh(
        _distinct([name for name, _ in shown]),
        [value / scale for _, value in shown],
        color=_BLUE,
        height=0.62,
    )
    axes.bar_label(bars, labels=[size(value) for _, value in shown], padding=2, fontproperties=_font(7))
    axes.set_xlim(0, largest / scale * 1.15 or 1)
    axes.set_xlabel(unit, fontproperties=_font(7))
    _from_the_top(axes, len(shown))
    return _save(figure, axes, path)


def trends(forecasts: Sequence[Forecast], path: Path) -> Path:
    """One small chart for each forecast: points, the line with its interval for a year, the limit."""
    from matplotlib.figure import Figure

    shown = forecasts[:_PANELS]
    rows = (len(shown) + 1) // 2
    figure = Figure(figsize=(_WIDTH, 1.9 * rows), dpi=DPI, layout="constrained")
    for number, forecast in enumerate(shown, 1):
        axes = figure.add_subplot(rows, min(2, len(shown)), number)
        _trend(axes, forecast)
        axes.set_title(_label(f"{forecast.host} {forecast.subject}", 44), fontproperties=_font(8))
        _plain(axes)
    figure.savefig(path)
    return path


def _trend(axes: Any, forecast: Forecast) -> None:
    from matplotlib import dates

    scale, unit = (
        _unit(max(forecast.limit or 0, forecast.value)) if "byte" in forecast.unit else (1, forecast.unit)
    )
    when = [parse(instant) for instant, _ in forecast.points]
    axes.plot(when, [value / scale for _, value in forecast.points], "o", color=_INK, markersize=3)
    if forecast.slope_per_day is not None:
        ahead, value = [when[-1], when[-1] + timedelta(days=365)], forecast.value / scale
        axes.plot(ahead, [value, value + forecast.slope_per_day * 365 / scale], color=_INK, linewidth=1)
        low, high = ((slope or 0.0) * 365 / scale for slope in (forecast.slope_low, forecast.slope_high))
        axes.fill_between(
            ahead, [value, value + low], [value, value + high], color=_BLUE, alpha=0.3, linewidth=0
        )
    if forecast.limit:
        axes.axhline(forecast.limit / scale, color=_COLOURS["critical"], linewidth=0.9, linestyle="--")
        axes.axhline(forecast.limit * 0.8 / scale, color=_COLOURS["warning"], linewidth=0.8, linestyle=":")
    axes.set_ylim(bottom=0)
    axes.set_ylabel(_label(unit), fontproperties=_font(7))
    locator = dates.AutoDateLocator(maxticks=6)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.DateFormatter("%Y-%m"))  # type: ignore[no-untyped-call]


def _unit(largest: float) -> tuple[float, str]:
    """The binary unit in which the largest value is a number that people read."""
    scale = 1.0
    for unit in ("B", "KiB", "MiB", "GiB"):
        if largest < scale * 1024:
            return scale, unit
        scale *= 1024
    return scale, "TiB"


def _figure(height: float) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), dpi=DPI, layout="constrained")
    return figure, figure.add_subplot()


def _save(figure: Figure, axes: Any, path: Path) -> Path:
    _plain(axes)
    figure.savefig(path)
    return path


def _from_the_top(axes: Any, bars: int) -> None:
    """The first bar on top; a single one does not fill the picture."""
    axes.set_ylim(max(bars, 3) - 0.5, -0.5)


def _plain(axes: Any) -> None:
    """No frame, small type, and text that is never read as a formula."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        label.set_fontproperties(_font(7))
    axes.tick_params(length=2)


def _distinct(names: Sequence[str]) -> list[str]:
    """Labels, cut, and still one for each bar: equal ones would share a bar."""
    labels: list[str] = []
    for name in names:
        label = _label(name)
        while label in labels:
            label += " "
        labels.append(label)
    return labels


def _label(text: str, limit: int = 34) -> str:
    """Text with nothing that the font cannot draw or that matplotlib would read as mathematics."""
    known = _glyphs()
    shown = "".join(letter if ord(letter) in known else "□" for letter in clean(text, 200).replace("$", "＄"))
    return shown if len(shown) <= limit else f"{shown[: limit // 2 - 1]}…{shown[-(limit // 2) :]}"


@functools.cache
def _glyphs() -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(_font_path())).get_charmap())


@functools.cache
def _font_path() -> Path:
    import pylopdf_fonts_zh_cn

    return pylopdf_fonts_zh_cn.sans_path()


@functools.cache
def _font(points: float) -> Any:
    from matplotlib.font_manager import FontProperties

    return FontProperties(fname=_font_path(), size=points)
