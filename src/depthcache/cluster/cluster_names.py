"""Names of clusters, and random ones for new clusters: easy to say, to tell apart, and free of meaning."""

from __future__ import annotations

import re
import secrets

from depthcache.errors import InvalidArgument

__all__ = ["check_cluster", "make_cluster_name"]

_CLUSTER = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_MOST_NAME = 40

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


def check_cluster(name: str) -> str:
    """The name of a cluster. Raises InvalidArgument for anything else."""
    if len(name) > _MOST_NAME or not _CLUSTER.fullmatch(name):
        allowed = "lower-case letters, digits and hyphens, such as amber-fox"
        raise InvalidArgument(name="cluster", value=name, allowed=allowed)
    return name
