"""Which kind of KDC is it? By what this machine shows, or by what the KDC itself shows."""

from __future__ import annotations

import pytest
import sites

from negotiate_wsgi.doctor.checks import kdc
from negotiate_wsgi.doctor.commands import Kind
from negotiate_wsgi.doctor.setup import Setup


def recognised(**options):
    """The kind, and why."""
    setup = Setup(**options)
    [finding] = kdc.kind.look(setup)
    assert finding.status == "ok"
    return setup.kind, finding.found


@pytest.fixture
def no_profile(monkeypatch):
    """The KDC is on another machine, as far as this one shows."""
    monkeypatch.delenv("KRB5_KDC_PROFILE", raising=False)


@pytest.fixture
def elsewhere(realm, no_profile):
    """MIT's realm, there."""
    return realm


@pytest.fixture
def directory(domain, no_profile):
    """The domain of Active Directory, there."""
    return domain


def test_mit_s_shows_its_master_key(elsewhere):
    kind, why = recognised()
    assert kind is Kind.MIT
    assert f"it has a principal K/M@{elsewhere.name}" in why
    assert "--kdc ipa" in why


def test_active_directory_shows_its_own_account(directory):
    assert recognised() == (
        Kind.ACTIVE_DIRECTORY,
        f"Active Directory: it has an account krbtgt@{directory.name}",
    )


def test_a_computer_in_the_keytab_is_enough(directory, tmp_path, dead_kdc):
    dead_kdc(directory.name)
    keytab = directory.export_keytab(tmp_path / "keytab", "HTTP/web2", "WEB2$")
    assert recognised(keytab_name=keytab) == (
        Kind.ACTIVE_DIRECTORY,
        "Active Directory: the keytab has the computer WEB2$",
    )


@pytest.fixture
def dead_kdc(monkeypatch, tmp_path):
    """A function that points krb5.conf to where nobody listens."""
    conf = tmp_path / "krb5.conf"

    def write(realm):
        conf.write_text(
            f"[libdefaults]\ndefault_realm = {realm}\ndns_lookup_kdc = false\n"
            f"[realms]\n{realm} = {{\nkdc = 127.0.0.1:{sites.free_port()}\n}}\n"
        )
        monkeypatch.setenv("KRB5_CONFIG", str(conf))

    return write


def test_a_kdc_that_does_not_answer_is_of_no_kind(elsewhere, dead_kdc):
    dead_kdc(elsewhere.name)
    kind, why = recognised()
    assert kind is Kind.UNKNOWN
    assert f"the KDC of {elsewhere.name} does not answer (Cannot contact any KDC" in why


def test_without_a_realm_nobody_is_asked(elsewhere, monkeypatch, tmp_path):
    (tmp_path / "empty.conf").write_text("")
    monkeypatch.setenv("KRB5_CONFIG", str(tmp_path / "empty.conf"))
    assert recognised(keytab_name="/no/such/keytab") == (
        Kind.UNKNOWN,
        "not known: neither the keytab nor krb5.conf names a realm",
    )


def test_without_a_keytab_the_default_realm_is_asked(directory):
    assert recognised(keytab_name="/no/such/keytab")[0] is Kind.ACTIVE_DIRECTORY


def test_a_damaged_krb5_conf_is_another_check_s(elsewhere, monkeypatch, tmp_path):
    (tmp_path / "damaged.conf").write_text("[realms\n")
    monkeypatch.setenv("KRB5_CONFIG", str(tmp_path / "damaged.conf"))
    assert recognised()[0] is Kind.UNKNOWN


def test_the_throwaway_realm_is_mit_s(realm):
    assert recognised() == (
        Kind.MIT,
        "MIT: KRB5_KDC_PROFILE says that it is on this machine",
    )


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[global]\nhost = x\nrealm = EXAMPLE.TEST\n", Kind.FREE_IPA),
        ("[global]\n realm=EXAMPLE.TEST\n", Kind.FREE_IPA),
        ("[global]\nrealm = ANOTHER.TEST\n", Kind.MIT),
        ("", Kind.MIT),
    ],
    ids=["ours", "without spaces", "of another realm", "empty"],
)
def test_an_enrolled_machine_is_freeipa_s(elsewhere, monkeypatch, tmp_path, text, kind):
    (tmp_path / "default.conf").write_text(text)
    monkeypatch.setattr(kdc, "_IPA", tmp_path / "default.conf")
    assert recognised()[0] is kind


@pytest.mark.parametrize("kind", [Kind.ACTIVE_DIRECTORY, Kind.FREE_IPA, Kind.MIT])
def test_who_says_so_is_believed(realm, kind):
    found, why = recognised(kdc=kind)
    assert found is kind
    assert why.endswith("--kdc says so")


@pytest.mark.parametrize(
    ("has_krbtgt", "has_master_key", "kind"),
    [
        (True, False, Kind.ACTIVE_DIRECTORY),
        (False, True, Kind.MIT),
        (True, True, Kind.UNKNOWN),
        (False, False, Kind.UNKNOWN),
    ],
)
def test_one_of_both_has_to_be_there_and_the_other_not(
    elsewhere, monkeypatch, has_krbtgt, has_master_key, kind
):
    """A KDC may say the same of every name."""
    monkeypatch.setattr(kdc, "_peculiar", lambda realm: (has_krbtgt, has_master_key))
    assert recognised()[0] is kind
