"""One market: how its book becomes synced, stays right, and is judged."""
