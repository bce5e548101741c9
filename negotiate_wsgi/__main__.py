"""``negotiate-wsgi``, also ``python -m negotiate_wsgi``: the tools beside the middleware."""

from __future__ import annotations

import argparse
import sys

from negotiate_wsgi.exceptions import ConfigurationError


def main(arguments: list[str] | None = None) -> int:
    """Run one tool. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="negotiate-wsgi", description=__doc__)
    tools = parser.add_subparsers(dest="tool", required=True)
    realm = tools.add_parser(
        "realm",
        help="a throwaway Kerberos realm around a command",
        description="Start a throwaway Kerberos realm, run COMMAND (or a shell) in it, clean up.",
    )
    realm.add_argument("--realm", default="EXAMPLE.TEST", metavar="NAME")
    realm.add_argument(
        "--user", action="append", metavar="NAME", help="repeatable; alice and bob by default"
    )
    realm.add_argument(
        "--host", action="append", metavar="NAME", help="repeatable; localhost by default"
    )
    realm.add_argument("command", nargs="*", metavar="COMMAND", help="after --; else a shell")
    options = parser.parse_args(arguments)

    try:
        from negotiate_wsgi.realm import run_in_realm

        return run_in_realm(
            options.command,
            name=options.realm,
            users=options.user or ("alice", "bob"),
            hosts=options.host or ("localhost",),
        )
    except ConfigurationError as problem:
        parser.exit(2, f"negotiate-wsgi: {problem}\n")


if __name__ == "__main__":
    sys.exit(main())
