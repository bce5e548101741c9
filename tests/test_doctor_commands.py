"""What the doctor tells an administrator to type, for each kind of KDC, as a shell understands it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from negotiate_wsgi import Reason, doctor
from negotiate_wsgi.doctor.active_directory import ActiveDirectory
from negotiate_wsgi.doctor.commands import Kadmin, Kind, Unknown, take_out
from negotiate_wsgi.doctor.finding import Finding, problem
from negotiate_wsgi.doctor.free_ipa import FreeIpa
from negotiate_wsgi.doctor.lockout_ad import LockoutOfDomain
from negotiate_wsgi.doctor.lockout_mit import LockoutOfMit
from negotiate_wsgi.doctor.setup import Setup
from negotiate_wsgi.wire.keytab import Key, Keytab

#: By the kind of KDC whose administrators type them.
WORDS = {
    Kind.MIT: re.compile(
        r"kadmin|ktadd|ktremove|(add|mod|get)pr?[io]|krb5-kdc|kdc\.conf"
    ),
    Kind.FREE_IPA: re.compile(r"\bipa[- ](?!or)|ipactl|FreeIPA"),
    Kind.ACTIVE_DIRECTORY: re.compile(
        r"samba|ktpass|setspn|[GS]et-AD|adcli|net ads|ldbedit|Windows"
    ),
}
SPN, OTHER = "HTTP/www.test@AD.TEST", "HTTP/alias.test@AD.TEST"
PATH = "/etc/www.keytab"


def keytab(*principals, path=PATH):
    """With one key for all."""
    aes = "aes256-cts-hmac-sha1-96"
    return Keytab(f"FILE:{path}", tuple(Key(p, 2, aes, 1) for p in principals))


KEYTABS = {
    "empty": keytab(),
    "SPN": keytab(SPN),
    "two SPNs": keytab(SPN, OTHER),
    "computer": keytab("host/www@AD.TEST", SPN, "WWW$@AD.TEST"),
    "user": keytab("svc-web@AD.TEST", SPN),
}


def setup_of(kind, keytab=KEYTABS["SPN"]):
    setup = Setup(passwords="AD.TEST")
    setup.keytab, setup.realm, setup.kind = keytab, "AD.TEST", kind
    return setup


def of_kind(kind, keytab=KEYTABS["SPN"]):
    return setup_of(kind, keytab).commands


def everything(commands, *spns):
    yield commands.start("AD.TEST")
    for instead in (False, True):
        yield commands.export(*spns, instead=instead)
        yield commands.register(*spns, instead=instead)
    yield commands.strengthen(*spns)
    yield commands.forbid_weak(*spns)
    yield commands.set_apart(*spns)
    yield commands.add_pac(*spns)
    yield commands.permit("svc-www", spns[0])


def everything_on_lockout(kind, user):
    lockouts = setup_of(kind).lockouts
    yield lockouts.show(user)
    yield lockouts.show_account(user)
    found = {
        Kind.MIT: [LockoutOfMit(f"{user}@AD.TEST", user, 3, 60, True)],
        Kind.ACTIVE_DIRECTORY: [
            LockoutOfDomain("AD.TEST", settings, 3, 60) for settings in (None, user)
        ],
    }
    for lockout in found.get(kind, []):
        yield lockout.lock_after(7)
        yield lockout.forget_after(1800)
        if kind is Kind.MIT:
            yield lockout.count()


def words_of(instructions):
    parts = (instructions.command, instructions.place, instructions.note)
    return "\n".join([*parts, *instructions.beside])


def test_each_kind_has_its_own():
    kinds = {kind: type(of_kind(kind)) for kind in Kind}
    assert kinds == {
        Kind.ACTIVE_DIRECTORY: ActiveDirectory,
        Kind.FREE_IPA: FreeIpa,
        Kind.MIT: Kadmin,
        Kind.UNKNOWN: Unknown,
    }


@pytest.mark.parametrize("kind", Kind)
def test_of_the_lockout_no_kind_is_told_what_another_one_types(kind):
    for instructions in everything_on_lockout(kind, "alice"):
        said = words_of(instructions)
        assert {other for other, words in WORDS.items() if words.search(said)} == {
            kind
        } or (kind is Kind.UNKNOWN and instructions == Unknown.instructions)


@pytest.mark.parametrize("held", KEYTABS.values(), ids=KEYTABS)
@pytest.mark.parametrize("spns", [(SPN,), (SPN, OTHER), ("HTTP/<host>",)], ids=len)
@pytest.mark.parametrize("kind", Kind)
def test_no_kind_is_told_what_another_one_types(kind, held, spns):
    said = [words_of(found) for found in everything(of_kind(kind, held), *spns)]
    assert all(said) or kind is Kind.ACTIVE_DIRECTORY
    for other, words in WORDS.items():
        for text in said:
            found = words.search(text)
            # The question which kind it is names them all.
            assert not found or other is kind or kind is Kind.UNKNOWN, found
    if kind is not Kind.UNKNOWN:
        assert any(WORDS[kind].search(text) for text in said)


def test_where_the_kind_is_not_known_there_is_no_command():
    for found in everything(Unknown(), SPN):
        assert (found.command, found.beside) == ("", ())
        assert "--kdc ad" in found.note


@pytest.mark.parametrize("reason", Reason, ids=str)
def test_a_reason_s_remedy_fits_every_kdc(reason):
    assert not WORDS[Kind.MIT].search(reason.remedy)
    assert not WORDS[Kind.FREE_IPA].search(reason.remedy)
    assert not re.search("samba-tool|ktpass|setspn", reason.remedy)


def test_only_one_module_knows_what_mit_s_administrators_type():
    """So nothing else that the doctor says can be of that kind, in whichever branch."""
    package = Path(doctor.__file__).parent
    words = re.compile(r"kadmin|ktadd|ktremove|addprinc|krb5-kdc", re.IGNORECASE)
    having = {
        path.name for path in package.rglob("*.py") if words.search(path.read_text())
    }
    assert having == {"commands.py", "setup.py"}  # which has the choice
    found = words.findall((package / "setup.py").read_text())
    assert set(found) == {"Kadmin"}


@pytest.mark.parametrize(
    ("held", "account"),
    [("SPN", "<account>"), ("user", "svc-web"), ("computer", "WWW$")],
)
def test_the_account_is_named_where_the_keytab_shows_it(held, account):
    found = of_kind(Kind.ACTIVE_DIRECTORY, KEYTABS[held]).register(SPN)
    assert f"Windows: setspn -S HTTP/www.test {account}" in found.beside


def test_ktpass_is_given_all_names_of_the_account_and_one_password():
    [first, second] = (
        of_kind(Kind.ACTIVE_DIRECTORY, KEYTABS["two SPNs"]).export(SPN).beside
    )
    common = "/mapuser <account> /crypto AES256-SHA1 /ptype KRB5_NT_PRINCIPAL /pass *"
    assert first == (f"Windows: ktpass /princ {SPN} {common} /out www.keytab")
    assert second == (
        f"Windows: ktpass /princ {OTHER} {common} -setpass -setupn /in www.keytab "
        "/out www.keytab"
    )


def test_a_computer_s_password_is_left_to_the_computer():
    commands = of_kind(Kind.ACTIVE_DIRECTORY, KEYTABS["computer"])
    for found in (commands.export(SPN), commands.register(SPN)):
        assert "ktpass" not in words_of(found)
        assert f"adcli update --host-keytab={PATH}" in words_of(found)
    assert "net ads setspn add WWW HTTP/www.test" in words_of(commands.register(SPN))


def test_one_name_that_is_missing_is_no_reason_to_lose_the_others():
    commands = of_kind(Kind.ACTIVE_DIRECTORY, KEYTABS["computer"])
    alone = of_kind(Kind.ACTIVE_DIRECTORY, KEYTABS["SPN"])
    assert "delent 2" in commands.export(SPN, instead=True).command
    assert "delent 1" not in commands.export(SPN, instead=True).command
    assert f"mv {PATH} {PATH}.old && " in alone.export(SPN, instead=True).command
    assert "delent" not in commands.export(SPN).command
    # Nothing is taken out unless the SPN was added.
    command = alone.register(SPN, instead=True).command
    assert command.index("spn add") < command.index(" && mv ")


TOOLS = (
    "samba-tool",
    "ldbedit",
    "ktutil",
    "kadmin",
    "ipa",
    "ipa-getkeytab",
    "ipa-rmkeytab",
)
TOOL = """#!/bin/sh
for word in "${0##*/}" "$@"; do printf '%s\\0' "$word"; done >>"$TYPED"
printf '\\n' >>"$TYPED"
[ "${0##*/}" != samba-tool ] || [ "$1" != testparm ] || echo /private
[ "${0##*/}" != ktutil ] || touch "$NEW"
"""
EVIL_HOST = "a'b\"c$(touch evil)`touch evil`;touch evil;&*()\\ "


@pytest.fixture
def typed(tmp_path):
    """Type a command where tools are that only note what they are given."""
    for name in TOOLS:
        tool = tmp_path / name
        tool.write_text(TOOL)
        tool.chmod(0o755)
    log = tmp_path / "typed"

    def run(command, new="new"):
        environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TYPED": str(log), "NEW": new}
        subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environ, check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        assert not (tmp_path / "evil").exists()
        lines = log.read_text().splitlines()
        log.unlink()
        return [line.split("\0")[:-1] for line in lines]

    return run


def test_no_name_leaves_its_place_in_a_command_of_samba_s(typed, tmp_path):
    path = str(tmp_path / "a 'keytab")
    Path(path).touch()
    spn = f"HTTP/{EVIL_HOST}@AD.TEST"
    name = spn.rpartition("@")[0]
    held = keytab(spn, f"{EVIL_HOST}@AD.TEST", "x/y@AD.TEST", path=path)
    commands = of_kind(Kind.ACTIVE_DIRECTORY, held)
    export = ["samba-tool", "domain", "exportkeytab", path, f"--principal={name}"]
    assert typed(commands.export(spn).command) == [export]
    assert typed(commands.export(spn, instead=True).command, f"{path}.new") == [
        ["ktutil"],
        export,
    ]
    added = ["samba-tool", "spn", "add", name, EVIL_HOST]
    assert typed(commands.register(spn).command) == [added, export]
    escaped = re.sub(r"[\\*()]", lambda found: f"\\{ord(found[0]):02x}", name)
    holder = f"(servicePrincipalName={escaped})"
    for found in (commands.strengthen(spn), commands.add_pac(spn)):
        lines = typed(found.command, f"{path}.new")
        [edit] = [line for line in lines if line[0] == "ldbedit"]
        assert edit[1:3] == ["-H", "/private/sam.ldb"]
        assert edit[5] == holder
    lines = typed(commands.set_apart(spn).command, f"{path}.new")
    assert ["samba-tool", "spn", "delete", name, EVIL_HOST] in lines


def test_no_name_leaves_its_place_in_a_command_of_freeipa_s(typed):
    path, spn = "/a 'keytab", f"HTTP/{EVIL_HOST}@IPA.TEST"
    commands = FreeIpa(path)
    get = ["ipa-getkeytab", "-p", spn, "-k", path]
    assert typed(commands.export(spn).command) == [get]
    assert typed(commands.export(spn, instead=True).command) == [
        ["ipa-rmkeytab", "-p", spn, "-k", path],
        get,
    ]
    assert typed(commands.register(spn).command) == [["ipa", "service-add", spn], get]
    assert typed(commands.strengthen(spn).command)[1][1:3] == [
        "-e",
        "aes256-cts,aes128-cts",
    ]
    modify = ["ipa", "service-mod", spn, "--pac-type=MS-PAC"]
    assert typed(commands.add_pac(spn).command) == [modify]


@pytest.mark.parametrize("kind", sorted(set(Kind) - {Kind.UNKNOWN}))
def test_no_user_s_name_leaves_its_place(typed, kind, monkeypatch):
    monkeypatch.delenv("KRB5_KDC_PROFILE", raising=False)
    for instructions in everything_on_lockout(kind, EVIL_HOST):
        words = [word for line in typed(instructions.command) for word in line]
        own = EVIL_HOST.replace('"', '""') if kind is Kind.MIT else EVIL_HOST
        is_of_all = "passwordsettings set" in instructions.command
        assert any(own in word for word in words) is not is_of_all
        assert all("touch evil" not in line for line in instructions.beside)


def test_lines_for_windows_have_no_name_that_needs_quotes_there():
    evil = f"HTTP/{EVIL_HOST}@AD.TEST"
    commands = of_kind(Kind.ACTIVE_DIRECTORY, keytab(evil))
    windows = [
        line
        for found in everything(commands, evil)
        for line in found.beside
        if line.startswith("Windows: ")
    ]
    assert windows
    assert all("touch evil" not in line for line in windows)


def test_entries_are_taken_out_from_the_end(typed, tmp_path):
    path = str(tmp_path / "keytab")
    Path(path).touch()
    command = take_out(keytab("a@R", "b@R", "c@R", path=path), [1, 3])
    assert command.index("delent 3") < command.index("delent 1")
    assert typed(command, f"{path}.new") == [["ktutil"]]
    assert os.listdir(tmp_path).count("keytab.new") == 0


def test_a_finding_takes_instructions_as_it_takes_a_command():
    found = of_kind(Kind.ACTIVE_DIRECTORY).export(SPN)
    assert problem("It is so.", "Do that.", found) == Finding(
        "problem",
        "It is so.",
        f"Do that. {found.note}",
        found.command,
        "Samba DC",
        found.beside,
    )
    assert problem("It is so.", "Do that.", "now").command == "now"
