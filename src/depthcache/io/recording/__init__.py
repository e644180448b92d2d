"""What a client writes to files: recordings of everything, and flight dumps of one book."""
