"""Run   supervise.py COMMAND...   runs a command, and ends all that it started when it ends, or we."""

import os
import sys
import tempfile

from negotiate_wsgi.realm.command import run_as_group
from negotiate_wsgi.realm.process_group import Signals
from negotiate_wsgi.realm.programs import Guardian

with Signals() as signals:
    guardian = Guardian(tempfile.mkdtemp())
    code = run_as_group(sys.argv[1:], os.environ, guardian.watch, signals)
    guardian.end()
sys.exit(code)
