"""Which streams come over which connections, and how a connection stays up."""
