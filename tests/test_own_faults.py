"""Our own faults: 500 where sign-on is required, never a 401 or 403 that blames the user."""

import pytest
import sites
from helpers import is_asked, is_let_in, negotiate


def assert_our_fault(site, realm, reason):
    required = site.request("/required/", realm.authorization())
    assert required.status == 500
    assert required.challenges == []
    assert f"({reason})" in required.text
    optional = site.request("/optional/", realm.authorization())
    assert is_let_in(optional, user=None)
    assert f"refusal={reason}\n" in optional.text
    # What needs no key is answered as ever.
    assert is_asked(site.request("/required/"))
    assert is_asked(site.request("/required/", negotiate(b"garbage")))


def test_keytab_missing(site_without_keytab, realm):
    assert_our_fault(site_without_keytab, realm, "keytab-unusable")


@pytest.mark.parametrize("kind", ["gunicorn-sync", "uwsgi"])
def test_keytab_missing_beside_a_plugin_that_needs_none(kind, realm, tmp_path):
    """GSSAPI has a credential then: that of the plugin for NTLM, which is no use for a ticket."""
    plugin = {"GSS_MECH_CONFIG": "/etc/gss/mech.d/mech.ntlmssp.conf"}
    sound = sites.HttpSite(kind, **plugin)
    assert is_let_in(sound.request("/required/", realm.authorization()))
    sound.close()
    site = sites.HttpSite(kind, **plugin, KRB5_KTNAME=str(tmp_path / "no-such-keytab"))
    assert_our_fault(site, realm, "keytab-unusable")
    site.close()


def test_replay_cache_unusable(site_without_replay_cache, realm):
    assert_our_fault(site_without_replay_cache, realm, "replay-cache-unusable")


@pytest.mark.parametrize(
    "content", [b"", b"\x05\x02", b"not a keytab"], ids=["empty", "no keys", "damaged"]
)
def test_keytab_without_keys(realm, monkeypatch, tmp_path, content):
    keytab = tmp_path / "keytab"
    keytab.write_bytes(content)
    monkeypatch.setenv("KRB5_KTNAME", str(keytab))
    assert_our_fault(sites.open_site("wsgi"), realm, "keytab-unusable")
