"""Bytes to values and back. Pure: no C, no I/O, nothing of third parties."""
