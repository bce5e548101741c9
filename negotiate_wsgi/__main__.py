"""``negotiate-wsgi`` or ``python -m negotiate_wsgi``: tools beside the middleware."""

from __future__ import annotations

import argparse
import os
import sys

from negotiate_wsgi import __version__
from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.stores.command import add_revoke, add_store, which_store


def main(arguments: list[str] | None = None) -> int:
    """Run one tool. Returns its exit code."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except ConfigurationError as problem:
        parser.exit(2, f"negotiate-wsgi: {problem}\n")


def build_parser() -> argparse.ArgumentParser:
    """The command line. The manual, its man page and the completion are made from it."""
    parser = argparse.ArgumentParser(prog="negotiate-wsgi", description=__doc__)
    parser.add_argument(
        "--version", action="version", version=f"negotiate-wsgi {__version__}"
    )
    tools = parser.add_subparsers(dest="tool", required=True)
    _add_realm(tools)
    _add_doctor(tools)
    _add_explain(tools)
    _add_whoami(tools)
    add_revoke(tools)
    return parser


# What a tool needs is imported when it runs: each has an extra of its own.


def _add_realm(tools: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    tool = tools.add_parser(
        "realm",
        help="a throwaway Kerberos realm around a command",
        description="Start a throwaway Kerberos realm, run COMMAND (or a shell) in it, clean up.",
    )
    tool.add_argument("--realm", default="EXAMPLE.TEST", metavar="NAME")
    tool.add_argument(
        "--user",
        action="append",
        metavar="NAME",
        help="repeatable; alice and bob by default",
    )
    tool.add_argument(
        "--host",
        action="append",
        metavar="NAME",
        help="repeatable; localhost by default",
    )
    tool.add_argument(
        "command", nargs="*", metavar="COMMAND", help="after --; else a shell"
    )
    tool.set_defaults(run=_realm)


def _realm(options: argparse.Namespace) -> int:
    from negotiate_wsgi.realm import run_in_realm

    return run_in_realm(
        options.command,
        name=options.realm,
        users=options.user or ("alice", "bob"),
        hosts=options.host or ("localhost",),
    )


def _add_keys(tool: argparse.ArgumentParser) -> None:
    tool.add_argument("--keytab", help="KRB5_KTNAME by default, else krb5's own")
    tool.add_argument("--service", default="HTTP", help="HTTP by default")


def _add_doctor(tools: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    tool = tools.add_parser(
        "doctor",
        help="why sign-on does not work here, and what to type",
        description="Look at all that sign-on needs, as the user that the server runs as, and say "
        "what to repair. Nothing is changed. Exit code 1: warnings; 2: problems.",
    )
    _add_keys(tool)
    tool.add_argument(
        "--hostname", action="append", default=[],
        help="in the clients' URL; repeatable; all hosts in the keytab by default",
    )  # fmt: skip
    tool.add_argument(
        "--acceptor", default=os.environ.get("NEGOTIATE_ACCEPTOR") or "pykerberos",
        help="pykerberos, gssapi or package.module:name; NEGOTIATE_ACCEPTOR by default, else "
        "pykerberos",
    )  # fmt: skip
    tool.add_argument(
        "--url", help="of a page to ask, too, and to sign on to with your ticket"
    )
    tool.add_argument(
        "--kdc", choices=["ad", "ipa", "mit"],
        help="Active Directory, FreeIPA or MIT's, whose commands are then named; found out by "
        "default",
    )  # fmt: skip
    tool.add_argument(
        "--active-directory", action="store_true",
        default=_is_yes(os.environ.get("NEGOTIATE_ACTIVE_DIRECTORY", "")),
        help="the acceptor has active_directory=True; NEGOTIATE_ACTIVE_DIRECTORY by default",
    )  # fmt: skip
    _add_passwords(tool)
    tool.add_argument(
        "--certificate", default=os.environ.get("NEGOTIATE_CERTIFICATE"),
        help="the file that the acceptor has as certificate=; NEGOTIATE_CERTIFICATE by default",
    )  # fmt: skip
    _add_delegation(tool)
    add_store(tool)
    tool.add_argument("--json", action="store_true", help="for machines")
    tool.add_argument("--list", action="store_true", help="only say what is looked at")
    tool.set_defaults(run=_doctor)


def _add_passwords(tool: argparse.ArgumentParser) -> None:
    tool.add_argument(
        "--passwords", metavar="REALM",
        help="look at passwords of REALM, too, and try one that is asked for on the terminal",
    )  # fmt: skip
    tool.add_argument(
        "--user", default="", metavar="NAME",
        help="whose password, and whose lock-out; asked for by default",
    )  # fmt: skip
    tool.add_argument(
        "--attempts", type=int, metavar="N",
        default=os.environ.get("NEGOTIATE_PASSWORD_ATTEMPTS") or 3,
        help="PasswordSignOn has attempts=N; NEGOTIATE_PASSWORD_ATTEMPTS by default, else 3",
    )  # fmt: skip
    tool.add_argument(
        "--period", type=int, default=1800, metavar="SECONDS",
        help="and period=SECONDS; 1800 by default",
    )  # fmt: skip


def _add_delegation(tool: argparse.ArgumentParser) -> None:
    tool.add_argument(
        "--delegation-account", metavar="NAME",
        default=os.environ.get("NEGOTIATE_DELEGATION_ACCOUNT") or None,
        help="the account that acts for users; NEGOTIATE_DELEGATION_ACCOUNT by default",
    )  # fmt: skip
    tool.add_argument(
        "--delegate-to", action="append", default=[], metavar="SPN",
        help="of a service that it asks for them, such as HTTP/db.example.com; repeatable",
    )  # fmt: skip


def _doctor(options: argparse.Namespace) -> int:
    from negotiate_wsgi.doctor.commands import Kind
    from negotiate_wsgi.doctor.run import list_checks, run_doctor
    from negotiate_wsgi.doctor.setup import Setup
    from negotiate_wsgi.doctor.terminal import Terminal

    if options.list:
        return list_checks()
    if options.delegate_to and not options.delegation_account:
        raise ConfigurationError(
            "--delegate-to needs --delegation-account, which acts for users"
        )
    setup = Setup(
        options.service,
        tuple(options.hostname),
        options.keytab,
        _acceptor(options.acceptor),
        options.url,
        Kind(options.kdc) if options.kdc else None,
        options.active_directory,
        options.passwords,
        options.user,
        options.attempts,
        options.period,
        None if options.json else Terminal.of_this_process(),
        options.certificate,
        options.delegation_account,
        tuple(options.delegate_to),
        *which_store(options),
    )
    return run_doctor(setup, options.json)


def _is_yes(text: str) -> bool:
    """As the settings read it, which refuse what is neither yes nor no."""
    return text.strip().lower() in ("yes", "true", "on", "1")


def _acceptor(text: str) -> str:
    """As the settings read it: case matters in the name of an object alone."""
    name = text.strip()
    return name if ":" in name else name.lower()


def _add_explain(tools: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    tool = tools.add_parser(
        "explain",
        help="what a client's token is, and why it would be refused",
        description="Say what a token, or a whole Authorization header, is, and compare its ticket "
        "with the keytab. Exit code 1: it would be refused; 2: the keytab cannot be "
        "used.",
    )
    _add_keys(tool)
    tool.add_argument(
        "token", nargs="?", default="-", metavar="TOKEN",
        help="in base64; standard input by default",
    )  # fmt: skip
    tool.set_defaults(run=_explain)


def _explain(options: argparse.Namespace) -> int:
    from negotiate_wsgi.doctor.explain import run_explain

    text = sys.stdin.read() if options.token == "-" else options.token  # noqa: S105
    return run_explain(text, options.keytab, options.service)


def _add_whoami(tools: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    tool = tools.add_parser(
        "whoami",
        help="what an app would see of you, and your groups' SIDs",
        description="Sign on to ourselves with your ticket, as the NEGOTIATE_... settings of the "
        "environment have it, and print what an app would see, and every SID in "
        "the ticket's PAC. Exit code 1: you would be refused; 2: you have no ticket, or "
        "the fault is the server's.",
    )
    tool.add_argument("--keytab", help="NEGOTIATE_KEYTAB by default, else KRB5_KTNAME")
    tool.add_argument("--host", help="in the SPN; the first of the keytab by default")
    tool.set_defaults(run=_whoami)


def _whoami(options: argparse.Namespace) -> int:
    from negotiate_wsgi.whoami import run_whoami

    return run_whoami(options.keytab, options.host)


if __name__ == "__main__":
    sys.exit(main())
