"""What a PromQL expression names: metrics, with the labels that it asks them for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Named", "Samples", "named_in", "unknown_in"]

_SELECTOR = re.compile(r"\b(depthcache_\w+|process_\w+|up|ALERTS)\b(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
OF_TARGETS = frozenset({"job", "instance"})
_OPEN = frozenset({"status"})
"""Labels whose values a healthy node does not have all."""


@dataclass
class Named:
    """What an expression names."""

    metrics: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)
    """Each metric with its matchers: label, operator, value."""
    labels: set[str] = field(default_factory=set)
    """Labels by which it groups or joins."""


def named_in(expression: str) -> Named:
    """The metrics and labels of an expression."""
    found = Named()
    for name, matchers in _SELECTOR.findall(expression):
        found.metrics.setdefault(name, []).extend(_MATCHER.findall(matchers))
    for labels in _GROUPING.findall(expression):
        found.labels |= {each.strip() for each in labels.split(",") if each.strip()}
    return found


class Samples:
    """What nodes serve: the labels of each sample with their values."""

    def __init__(self, texts: Iterable[str], *, alerts: Iterable[str] = ()) -> None:
        """`alerts`: the names of alerts, which Prometheus itself makes series of."""
        from prometheus_client.parser import text_string_to_metric_families

        states, severities = {"firing", "pending"}, {"page", "ticket"}
        of_alerts = {"alertname": set(alerts), "alertstate": states, "severity": severities}
        self.values: dict[str, dict[str, set[str]]] = {"up": {}, "ALERTS": of_alerts}
        self.families: set[str] = set()
        for text in texts:
            self.families |= set(re.findall(r"^# TYPE (\w+) \w+$", text, re.MULTILINE))
            families: Any = text_string_to_metric_families(text)
            for family in families:
                for sample in family.samples:
                    labels = self.values.setdefault(sample.name, {})
                    for label, value in sample.labels.items():
                        labels.setdefault(label, set()).add(value)


def unknown_in(expression: str, samples: Samples, *, also: Iterable[str] = ()) -> list[str]:
    """What an expression, and the labels that something `also` names, have that no node serves."""
    named = named_in(expression)
    made = set(re.findall(r'count_values[^(]*\([^)]*\)\s*\(\s*"(\w+)"', expression))
    made |= set(re.findall(r'label_replace\(.*?"(\w+)"', expression))
    unknown = [] if named.metrics else ["no metric at all"]
    known = set(OF_TARGETS | made)
    for metric, matchers in named.metrics.items():
        labels = samples.values.get(metric)
        if labels is None:
            unknown.append(metric)
            continue
        known |= labels.keys()
        for label, operator, value in matchers:
            if label in OF_TARGETS or "$" in value:
                continue
            if label not in labels:
                unknown.append(f"{metric}: label {label}")
            elif label not in _OPEN and not _matches(operator, value, labels[label]):
                unknown.append(f'{metric}: {label}{operator}"{value}"')
    return unknown + [f"label {each}" for each in sorted({*named.labels, *also} - known)]


def _matches(operator: str, value: str, served: set[str]) -> bool:
    if operator in ("=", "!="):
        return value in served
    return any(re.fullmatch(value, each) for each in served)
