"""Names for new clusters, such as amber-fox: easy to say, to tell apart, and free of meaning."""

from __future__ import annotations

import secrets

__all__ = ["make_cluster_name"]

_COLOURS = (
    "amber azure beige blond brass bronze cobalt copper coral crimson cyan ebony emerald golden green "
    "hazel indigo ivory jade khaki lemon lilac lime maroon mauve mint ochre olive opal orange pearl "
    "plum purple ruby russet rusty sable saffron scarlet sepia silver tan teal umber violet white "
    "yellow "
)

_ANIMALS = (
    "badger bear beaver bison bee crane crow deer dove duck eagle falcon finch fox gecko goose hare "
    "hawk heron horse ibex ibis jay kiwi lark lemur lion lynx magpie marten mole moose newt osprey "
    "otter owl panda pelican pigeon puffin puma quail raven robin seal shark sheep shrew sloth snail "
    "sparrow spider squid stork swan swift tapir tiger toad trout turtle viper vole walrus wasp "
    "weasel whale wolf wombat wren yak zebra "
)


def make_cluster_name() -> str:
    """A random name: lower-case letters and one hyphen."""
    return f"{secrets.choice(_COLOURS.split())}-{secrets.choice(_ANIMALS.split())}"
