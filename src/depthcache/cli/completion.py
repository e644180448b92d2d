"""Shell completion of values behind `=`, in one word with their option: `--exchange=binance.com-fu`.

bash hands over three words, and zsh and fish one, whose beginning the offered words must repeat.
"""

from __future__ import annotations

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

__all__ = ["install"]


class _Bash(BashComplete):
    def get_completion_args(self) -> tuple[list[str], str]:
        """The words without the `=` that bash makes one of its own."""
        words, incomplete = super().get_completion_args()
        return [word for word in words if word != "="], incomplete


class _OneWord(ShellComplete):
    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """The values with the option in front."""
        found = super().get_completions(args, incomplete)
        option, sign, _ = incomplete.partition("=")
        if not sign or not option.startswith("--"):
            return found
        return [CompletionItem(f"{option}={each.value}", each.type, each.help) for each in found]


class _Zsh(_OneWord, ZshComplete):
    pass


class _Fish(_OneWord, FishComplete):
    pass


def install() -> None:
    """Use these classes for the shells of their names."""
    for complete in (_Bash, _Zsh, _Fish):
        add_completion_class(complete)
