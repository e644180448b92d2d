"""Which connection carries which stream, and how a connection stays up."""
