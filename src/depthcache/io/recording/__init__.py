"""Files that a client writes: recordings of all market data, and flight dumps of single books."""
