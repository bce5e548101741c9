"""Why doesn't it work here? Checks, each of one subject, and what a client would see."""
