"""Is it true? The acceptor's side of a GSS-API negotiation."""
