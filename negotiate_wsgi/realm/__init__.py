"""Can I try it now? A throwaway Kerberos realm around a test, a command or a shell."""

from negotiate_wsgi.realm.command import run_in_realm
from negotiate_wsgi.realm.realm import Realm

__all__ = ["Realm", "run_in_realm"]
