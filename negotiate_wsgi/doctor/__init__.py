"""Why doesn't it work here? Checks, and what a client would see."""
