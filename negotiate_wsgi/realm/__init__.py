"""Can I try it now? A throwaway Kerberos realm around a test, a command or a shell."""

from negotiate_wsgi.realm.realm import Realm, run_in_realm

__all__ = ["Realm", "run_in_realm"]
