"""Shows a difference with Verilog highlighted: as rich text for a terminal, as HTML for a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from rich.console import Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from agents.diff import DesignDiff, FieldChange, FileDiff, Hunk, Line, file_header

# pygments is untyped; these say what is used of it.
_highlight: Callable[..., str] = highlight
_lexer: Callable[..., object] = get_lexer_by_name
_formatter: Callable[..., Any] = HtmlFormatter
_TERMINAL_STYLE = "ansi_dark"
_PAGE_STYLE = "friendly"
_BACKGROUND = {"+": "on #12301a", "-": "on #3a1518", " ": ""}


def _language(path: str) -> str:
    return "verilog" if path.endswith(".v") else "yaml" if path.endswith((".yaml", ".yml")) else "text"


def terminal(diff: DesignDiff) -> RenderableType:
    """The whole difference as a rich renderable."""
    if diff.empty:
        return Text(f"{diff.a} and {diff.b} are the same design")
    parts: list[RenderableType] = [_field_table(diff)] if diff.fields else []
    parts += [_terminal_file(item) for item in diff.files]
    return Group(*parts)


def _field_table(diff: DesignDiff) -> Table:
    table = Table(title="manifest", title_justify="left", box=None, pad_edge=False)
    for name in ("field", diff.a, diff.b):
        table.add_column(name)
    for change in diff.fields:
        table.add_row(change.field, _value(change.old), _value(change.new))
    return table


def _value(value: object) -> str:
    return "—" if value is None else str(value)


def _terminal_file(item: FileDiff) -> Text:
    sides = {"-": _terminal_lines(item.old, item.path), "+": _terminal_lines(item.new, item.path)}
    out = Text("\n".join(["", *file_header(item), ""]), style="bold")
    for hunk in item.hunks:
        out.append(hunk.header + "\n", style="cyan")
        for line in hunk.lines:
            out.append_text(_terminal_line(line, sides))
    return out


def _terminal_line(line: Line, sides: dict[str, list[Text]]) -> Text:
    source = sides["-"][line.old - 1] if line.op == "-" and line.old else sides["+"][(line.new or 1) - 1]
    shown = Text(line.op, style={"+": "bold green", "-": "bold red", " ": ""}[line.op])
    shown.append_text(source)
    shown.append("\n")
    shown.stylize(_BACKGROUND[line.op])
    return shown


def _terminal_lines(text: str, path: str) -> list[Text]:
    syntax = Syntax(text, _language(path), theme=_TERMINAL_STYLE, background_color="default")
    return list(syntax.highlight(text).split("\n", allow_blank=True))


@dataclass(frozen=True)
class PageLine:
    """A line for the page: operation, line numbers and highlighted HTML."""

    op: str
    old: str
    new: str
    html: str


@dataclass(frozen=True)
class PageHunk:
    """A hunk for the page."""

    header: str
    lines: tuple[PageLine, ...]


@dataclass(frozen=True)
class PageFile:
    """A file for the page."""

    path: str
    status: str
    added: int
    removed: int
    hunks: tuple[PageHunk, ...]


def page_files(diff: DesignDiff) -> tuple[PageFile, ...]:
    """The files of `diff` with highlighted HTML, for the templates."""
    return tuple(_page_file(item) for item in diff.files)


def page_fields(diff: DesignDiff) -> tuple[FieldChange, ...]:
    """The manifest changes of `diff`, values as text."""
    return tuple(FieldChange(c.field, _value(c.old), _value(c.new)) for c in diff.fields)


def _page_file(item: FileDiff) -> PageFile:
    sides = {"-": _page_lines(item.old, item.path), "+": _page_lines(item.new, item.path)}
    hunks = tuple(PageHunk(hunk.header, tuple(_page_hunk(hunk, sides))) for hunk in item.hunks)
    return PageFile(item.path, item.status, item.added, item.removed, hunks)


def _page_hunk(hunk: Hunk, sides: dict[str, list[str]]) -> Iterator[PageLine]:
    for line in hunk.lines:
        number = line.old if line.op == "-" else line.new
        html = sides["-" if line.op == "-" else "+"][(number or 1) - 1]
        yield PageLine(line.op, str(line.old or ""), str(line.new or ""), html)


def _page_lines(text: str, path: str) -> list[str]:
    lexer = _lexer(_language(path), stripnl=False, ensurenl=False)
    html = _highlight(text, lexer, _formatter(nowrap=True)) if text else ""
    return html.split("\n")


def page_style() -> str:
    """CSS for the highlighted code."""
    return str(_formatter(style=_PAGE_STYLE).get_style_defs(".code"))
