"""Instructions of each layer of the native book, against the stored counts."""

from __future__ import annotations

from benches import instructions
from benches.measure import Row


def run() -> list[Row]:
    """One row per layer, or one that says why nothing was counted."""
    stored = instructions.Counts.stored()
    try:
        counted = instructions.count()
    except (instructions.Unable, FileNotFoundError) as why:
        return [Row("instructions", f"not counted: {why}")]
    threshold = 1 + instructions.TOLERANCE if counted.toolchain == stored.toolchain else None
    return [
        Row(layer, f"{now:,}", now / stored.layers[layer] if layer in stored.layers else None, threshold)
        for layer, now in counted.layers.items()
    ]
