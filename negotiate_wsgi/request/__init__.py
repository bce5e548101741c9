"""One request, straight through: what a reviewer reads first."""
