"""What each key does: the one table behind the footer, the help and the app. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from depthcache.cli.terminal.lines import Line, cells, fill, wrap

__all__ = ["KEYS", "Key", "action_of", "footer", "help_lines"]


@dataclass(frozen=True, slots=True)
class Key:
    """Keys that belong together. `names`: Textual's name of each key, with its action."""

    shown: str
    label: str
    """In the footer; empty for keys that only the help lists."""
    help: str
    names: dict[str, str]


KEYS = (
    Key(
        "?",
        "help",
        "this help: ↑ ↓ and Page Up, Page Down scroll it, any other key closes it",
        {"question_mark": "help", "f1": "help", "h": "help"},
    ),
    Key("q", "quit", "quit; so does Ctrl-C", {"q": "quit", "ctrl+c": "quit", "ctrl+q": "quit"}),
    Key(
        "Tab",
        "book",
        "next book; Shift-Tab: the one before",
        {"tab": "next_book", "shift+tab": "previous_book"},
    ),
    Key("/", "find", "find a symbol: type a part of it, Enter shows the book, Esc clears", {"slash": "find"}),
    Key("l", "list", "all books, or the ladder again", {"l": "list", "enter": "ladder", "escape": "back"}),
    Key(
        "+ -",
        "group",
        "coarser or finer groups: multiples of the tick",
        {"plus": "coarser", "equals_sign": "coarser", "minus": "finer"},
    ),
    Key(
        "[ ]",
        "levels",
        "fewer or more levels a side",
        {"left_square_bracket": "fewer", "right_square_bracket": "more"},
    ),
    Key("Space", "freeze", "freeze the screen; press again to continue", {"space": "freeze"}),
    Key("c", "centre", "centre the spread", {"c": "centre", "home": "centre"}),
    Key("a", "audit", "compare the book with a snapshot of the exchange", {"a": "audit"}),
    Key("r", "resync", "discard the book and rebuild it from a snapshot", {"r": "resync"}),
    Key("f", "dump", "flight dump: write the newest raw frames of the book to a file", {"f": "flight_dump"}),
    Key("s", "sort", "sort the list: symbol, status, age, updates/s, spread", {"s": "sort"}),
    Key(
        "↑ ↓",
        "",
        "scroll the ladder (also Page Up and Down, the mouse wheel), or choose in the list",
        {"up": "up", "down": "down", "pageup": "page_up", "pagedown": "page_down"},
    ),
    Key("Ctrl-Z", "", "suspend; `fg` in the shell comes back", {"ctrl+z": "suspend"}),
)

_ACTIONS = {name: action for key in KEYS for name, action in key.names.items()}
_BEYOND_THE_KEYS = (
    "dimmed levels lie beyond the complete range: real, but others may be missing",
    "a size that has just changed is marked, and fades",
    "▾ asks, ▴ bids; total: the sum of the sizes from the best price on",
)


def action_of(name: str) -> str | None:
    """The action of the key that Textual calls by this name."""
    return _ACTIONS.get(name)


def footer(width: int) -> Line:
    """As many whole keys as fit, the most important first."""
    line: list[tuple[str, str]] = []
    used = 0
    for key in KEYS:
        if not key.label:
            continue
        taken = cells(f" {key.shown} {key.label} ")
        if used + taken > width:
            continue
        line += [(f" {key.shown}", "key"), (f" {key.label} ", "label")]
        used += taken
    return fill(tuple(line), width)


def help_lines(width: int) -> list[Line]:
    """Every key on a line of its own, wrapped if it is too long."""
    lines: list[Line] = []
    for key in KEYS:
        words = wrap(key.help, max(10, width - 8), most=4)
        for number, text in enumerate(words):
            lines.append(((key.shown.ljust(8) if number == 0 else " " * 8, "key"), (text, "")))
    lines.append(())
    for text in _BEYOND_THE_KEYS:
        lines += [((part, "label"),) for part in wrap(text, width, most=4)]
    return [fill(line, width) for line in lines]
