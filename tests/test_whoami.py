"""``negotiate-wsgi whoami``, as an administrator runs it: in a domain, and in a realm of MIT's."""

import os
import subprocess

import pytest
from sites import BIN

ALICE = "alice@AD.CORP.TEST"
#: In every PAC of Samba 4.22, and in none of 4.17 (MS-DTYP section 2.4.2.4).
BY_NEWER_SAMBA = "S-1-5-21-0-0-0-497 Claims valid"


def whoami(*arguments, **environ):
    """Its exit code, its rows as a mapping of label to texts, and what it says on stderr.

    *environ* is that of Kerberos, and the settings without their prefix.
    """
    own = {
        name if name.startswith("KRB5") else f"NEGOTIATE_{name}": value
        for name, value in environ.items()
    }
    done = subprocess.run(
        [BIN / "negotiate-wsgi", "whoami", *arguments],
        env=os.environ | own,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
    rows = {}
    label = None
    for line in done.stdout.splitlines():
        label = line[:12].strip() or label
        rows.setdefault(label, []).append(line[13:])
    return done.returncode, rows, done.stderr


@pytest.fixture
def sids(domain):
    names = ["alice", "bob", "staff", "everybody", "web-users", "admins", "news"]
    return {name: domain.sid_of(name) for name in names}


@pytest.fixture
def groups(sids):
    """Settings of a site on which groups count."""
    named = ["staff", "web-users", "admins"]
    return {
        "ACTIVE_DIRECTORY": "yes",
        "GROUP_SIDS": ", ".join(f"{name}={sids[name]}" for name in named),
    }


def test_what_an_app_sees_and_every_sid(sids, groups):
    code, rows, said = whoami(**groups)
    assert (code, said) == (0, "")
    assert rows["REMOTE_USER"] == rows["principal"] == [ALICE]
    assert (rows["account"], rows["sid"]) == (["alice"], [sids["alice"]])
    assert rows["groups"] == ["staff, web-users"]
    assert (rows["by"], rows["SPN"]) == (["ticket"], ["HTTP/localhost@AD.CORP.TEST"])
    [own, *others] = rows["in the PAC"]
    domain_users = sids["alice"].rpartition("-")[0] + "-513"
    assert own == f"{sids['alice']} the account itself"
    assert set(others) - {BY_NEWER_SAMBA} == {
        f"{domain_users} Domain Users",
        f"{sids['staff']} staff (configured)",
        sids["everybody"],
        f"{sids['web-users']} web-users (configured)",
        "S-1-18-1 Authentication authority asserted identity",
    }
    assert rows["not in it"] == [f"{sids['admins']} admins (configured)"]
    assert "Get-ADGroup" in rows["names"][0]
    assert rows.keys().isdisjoint({"note", "refused"})


def test_a_group_s_sid_is_found_with_nothing_configured(sids):
    code, rows, _ = whoami()
    assert code == 0
    assert sids["staff"] in rows["in the PAC"]
    assert sids["news"] not in rows["in the PAC"]  # a distribution list
    assert rows.keys().isdisjoint({"account", "groups", "not in it"})


def test_what_was_typed_is_not_who_it_is(domain, sids, tmp_path):
    ccache = domain.kinit("ALICE", account="alice", ccache=str(tmp_path / "ccache"))
    code, rows, _ = whoami(KRB5CCNAME=ccache)
    assert (code, rows["principal"]) == (0, ["ALICE@AD.CORP.TEST"])
    assert "NEGOTIATE_ACTIVE_DIRECTORY=yes" in rows["note"][0]
    code, rows, _ = whoami(KRB5CCNAME=ccache, ACTIVE_DIRECTORY="yes")
    assert (code, rows["principal"], rows["account"]) == (0, [ALICE], ["alice"])
    assert "note" not in rows


def test_refused_and_which_group_was_missing(domain, sids, groups):
    code, rows, _ = whoami(**groups, GROUPS="staff", KRB5CCNAME=domain.ccache("bob"))
    assert code == 1
    assert rows["refused"][0].startswith("group-missing: ")
    assert (rows["detail"], rows["principal"]) == (
        ["not in staff"],
        ["bob@AD.CORP.TEST"],
    )
    assert "next kinit" in rows["remedy"][0]
    assert "REMOTE_USER" not in rows
    assert f"{sids['admins']} admins (configured)" in rows["in the PAC"]
    assert rows["not in it"] == [f"{sids['staff']} staff (configured)"]
    assert whoami(**groups, GROUPS="staff")[0] == 0
    assert whoami(**groups, GROUPS="staff", USERS="bob@AD.CORP.TEST",
                  KRB5CCNAME=domain.ccache("bob"))[0] == 0  # fmt: skip


def test_no_ticket(domain, tmp_path):
    code, rows, _ = whoami(KRB5CCNAME=str(tmp_path / "none"))
    assert code == 2
    assert rows["not tried"][0].startswith("you have no ticket for HTTP/localhost: ")
    assert rows["remedy"][0].startswith("Run kinit")


def test_which_host(domain):
    assert whoami("--host", "alias.test")[1]["SPN"] == ["HTTP/alias.test@AD.CORP.TEST"]
    assert whoami(HOSTNAME="alias.test")[1]["SPN"] == ["HTTP/alias.test@AD.CORP.TEST"]
    code, rows, _ = whoami("--host", "nobody.test")
    assert code == 2
    assert "Server not found" in rows["not tried"][0]
    code, rows, _ = whoami(
        "--host", "other.test"
    )  # of an account that we have no key of
    assert code == 1
    assert rows["refused"][0].startswith("spn-not-in-keytab: ")


def test_our_own_faults(domain, tmp_path):
    code, rows, said = whoami(KRB5_KTNAME=str(tmp_path / "none"))
    assert (code, rows) == (2, {})
    assert "none: No such file or directory. Name the server's with --keytab" in said
    keytab = domain.export_keytab(tmp_path / "nfs", "nfs/localhost")
    code, _, said = whoami("--keytab", keytab)
    assert code == 2
    assert "has no key for HTTP/ and any host: name another keytab" in said
    code, rows, _ = whoami("--keytab", keytab, "--host", "localhost")
    assert code == 2
    assert rows["refused"][0].startswith("keytab-unusable: ")
    assert whoami("--keytab", domain.keytab, KRB5_KTNAME=keytab)[0] == 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"GROUPS": "staff"}, "group_sids = staff=S-1-5-21-"),
        ({"GROUP_SIDS": "staff=513"}, "(Get-ADGroup staff).SID"),
        ({"ACCEPTOR": "pykerberos", "ACTIVE_DIRECTORY": "yes"}, "NEGOTIATE_ACCEPTOR=gssapi"),
    ],
)  # fmt: skip
def test_wrong_settings_say_what_to_write(domain, settings, says):
    code, rows, said = whoami(**settings)
    assert (code, rows) == (2, {})
    assert says in said


def test_pykerberos_says_why_it_shows_no_sid(domain):
    code, rows, _ = whoami(ACCEPTOR="pykerberos")
    assert (code, rows["principal"]) == (0, [ALICE])
    assert rows["in the PAC"][0].startswith(
        "not known: this acceptor cannot read a PAC"
    )
    assert rows.keys().isdisjoint({"names", "note"})


def test_what_else_the_site_is_set_to_does_not_matter(domain):
    elsewhere = {
        "APP": "of.theirs:app",
        "SECRET_KEY_FILE": "/nowhere",
        "REQUIRED": "no",
    }
    code, rows, _ = whoami(**elsewhere)
    assert (code, "not asked" in rows) == (0, False)
    code, rows, _ = whoami(**elsewhere, AUTHORIZE="of.theirs:may_come_in")
    assert (code, rows["principal"]) == (0, [ALICE])
    assert rows["not asked"] == ["NEGOTIATE_AUTHORIZE, which may still say no"]


def test_a_user_in_a_thousand_groups(domain, sids_of_many):
    domain.kinit("many")
    code, rows, _ = whoami(KRB5CCNAME=domain.ccache("many"))
    assert code == 0
    assert set(sids_of_many) < set(rows["in the PAC"])


def test_a_realm_of_mits(realm):
    environ = {"KRB5CCNAME": realm.ccache("alice")}
    code, rows, _ = whoami(**environ)
    assert (code, rows["principal"]) == (0, ["alice@EXAMPLE.TEST"])
    assert rows["in the PAC"][0].startswith("nothing: the ticket has no PAC")
    code, rows, _ = whoami(**environ, ACTIVE_DIRECTORY="yes")
    assert code == 1
    assert rows["refused"][0].startswith("no-pac: ")
    assert "in the PAC" not in rows
