"""One market each: how its book becomes synced, stays right, and is judged."""
