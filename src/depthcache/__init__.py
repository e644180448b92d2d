"""Live Binance order books that are exactly right, fast, and say how far they can be trusted."""
