"""Bytes to values and back. Pure: no C, no I/O of requests, nothing of third parties."""
