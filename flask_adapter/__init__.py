"""Negotiate in Flask's words: the principal becomes the first argument of a view."""

from flask_adapter.adapter import delegated, init_kerberos, requires_authentication

__all__ = ["delegated", "init_kerberos", "requires_authentication"]
