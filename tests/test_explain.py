"""What is this token? Tokens of a real realm, compared with its keytab."""

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from initiator import KRB5

from negotiate_wsgi import Accepted, GssapiAcceptor, Reason
from negotiate_wsgi.acceptors.insight import read_keytab
from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor
from negotiate_wsgi.doctor.explain import Explanation, explain
from negotiate_wsgi.reasons import Refusal
from negotiate_wsgi.wire.keytab import Key, Keytab
from negotiate_wsgi.wire.ticket import Ticket

NTLM = base64.b64encode(b"NTLMSSP\0\1\0\0\0" + bytes(24)).decode()


def tell(found):
    return "".join(
        f"{label:8} {text}\n" for label, text in (*found.facts, *found.conclusion)
    )


def run(*arguments, **options):
    command = [
        str(Path(sys.executable).parent / "negotiate-wsgi"),
        "explain",
        *arguments,
    ]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, **options
    )


def test_a_ticket_for_a_key_that_is_there(realm):
    found = explain(realm.authorization())
    assert found.ticket == Ticket(
        "HTTP/localhost@EXAMPLE.TEST", "aes256-cts-hmac-sha1-96", 1
    )
    assert found.mechanisms == ("Kerberos (1.2.840.113554.1.2.2)",)
    assert found.keytab.name.endswith(realm.keytab)
    assert found.refusal is None
    assert "nothing that can be read is against it" in tell(found)
    assert explain(realm.authorization(mech=KRB5)).ticket == found.ticket


@pytest.mark.parametrize(
    ("spn", "expected"),
    [
        ("HTTP/localhost", None),
        ("host/localhost", Reason.WRONG_SERVICE),
        ("http/localhost", Reason.WRONG_SERVICE),
        ("HTTP/no-key.test", Reason.SPN_NOT_IN_KEYTAB),
        ("HTTP/rotated.test", Reason.STALE_TICKET),
        ("HTTP/stale-keytab.test", Reason.STALE_KEYTAB),
        ("HTTP/no-enctype.test", Reason.ENCTYPE_MISSING),
    ],
)
def test_it_names_the_reason_that_the_acceptor_gives(realm, spn, expected):
    found = explain(realm.authorization(spn))
    assert (found.refusal and found.refusal.reason) == expected
    judged = PykerberosAcceptor().accept(realm.token(spn))
    assert getattr(judged, "reason", None) == expected
    assert found.ticket.spn == f"{spn}@EXAMPLE.TEST"
    if expected:
        assert f"refused  {expected}: {expected.cause}\n" in tell(found)
        assert expected.remedy in tell(found)


def test_a_key_in_another_case_is_pointed_at(realm):
    ticket = Ticket("HTTP/LOCALHOST@EXAMPLE.TEST", "aes256-cts-hmac-sha1-96", 1)
    assert ticket.misfit(read_keytab()) == Refusal(
        Reason.SPN_NOT_IN_KEYTAB,
        "but there is HTTP/localhost@EXAMPLE.TEST, http/localhost@EXAMPLE.TEST",
    )
    # Which is said once it has been tried. Beforehand, it may well be the same key.
    assert ticket.objection(read_keytab(), "HTTP") is None


AES256, AES128 = "aes256-cts-hmac-sha1-96", "aes128-cts-hmac-sha1-96"
KEYTAB = Keytab(
    "FILE:/keytab",
    (
        Key("host/www.test@AD.TEST", 2, AES256, 1),
        Key("HTTP/www.test@AD.TEST", 2, AES256, 1),
        Key("http/www.test@AD.TEST", 2, AES256, 1),
        Key("HTTP/other.test@AD.TEST", 5, AES256, 2),
        Key("http/single.test@AD.TEST", 2, AES256, 3),
    ),
)


@pytest.mark.parametrize(
    ("spn", "kvno", "enctype", "reason"),
    [
        ("HTTP/WWW.test", 2, AES256, None),
        ("HTTP/WWW.test", 3, AES256, Reason.STALE_KEYTAB),
        ("HTTP/WWW.test", 1, AES256, Reason.STALE_TICKET),
        ("HTTP/WWW.test", 2, AES128, Reason.ENCTYPE_MISSING),
        ("Http/Www.Test", 2, AES256, None),
        ("http/www.test", 2, AES256, None),
        ("HTTP/OTHER.TEST", 5, AES256, None),
        ("HTTP/OTHER.TEST", 2, AES256, Reason.STALE_TICKET),
        ("http/single.test", 2, AES256, Reason.WRONG_SERVICE),
        ("HTTP/single.test", 9, AES256, Reason.SPN_NOT_IN_KEYTAB),
        ("host/www.test", 2, AES256, Reason.WRONG_SERVICE),
        ("HOST/WWW.test", 2, AES256, Reason.WRONG_SERVICE),
        ("HTTP/alias.test", 2, AES256, Reason.SPN_NOT_IN_KEYTAB),
    ],
)
def test_spns_are_compared_as_acceptors_compare_them(spn, kvno, enctype, reason):
    objection = Ticket(f"{spn}@AD.TEST", enctype, kvno).objection(KEYTAB, "HTTP")
    assert (objection and objection.reason) == reason


def test_what_the_keytab_has_for_another_spelling_is_shown_alone():
    assert KEYTAB.in_words("HTTP/OTHER.test@AD.TEST") == [
        f"HTTP/other.test@AD.TEST kvno 5 {AES256}"
    ]
    assert len(KEYTAB.in_words("HTTP/alias.test@AD.TEST")) == len(KEYTAB.keys)


def test_another_realm_s_spn_is_another_one():
    ticket = Ticket("HTTP/www.test@OTHER.TEST", AES128, 2)
    objection = ticket.objection(KEYTAB, "HTTP")
    assert objection.reason is Reason.SPN_NOT_IN_KEYTAB
    assert "but there is HTTP/www.test@AD.TEST" in objection.detail


@pytest.mark.parametrize(
    ("kvno", "enctype", "is_said"),
    [(5, AES256, True), (None, AES256, True), (6, AES256, False), (5, AES128, False)],
)
def test_another_name_of_an_account_cannot_be_told_from_clear_text(
    kvno, enctype, is_said
):
    ticket = Ticket("HTTP/alias.test@AD.TEST", enctype, kvno)
    objection = ticket.objection(KEYTAB, "HTTP")
    assert objection.reason is Reason.SPN_NOT_IN_KEYTAB
    assert ("names of one account" in objection.detail) == is_said


@pytest.mark.parametrize("kind", [PykerberosAcceptor, GssapiAcceptor])
@pytest.mark.parametrize("spn", ["HTTP/localhost", "HTTP/LOCALHOST", "http/Localhost"])
def test_in_active_directory_every_spelling_is_accepted(domain, kind, spn):
    found = explain(domain.authorization(spn))
    assert found.ticket.spn == f"{spn}@AD.CORP.TEST"
    assert found.refusal is None
    is_spelt_otherwise = spn != "HTTP/localhost"
    assert ("another spelling of the SPN" in tell(found)) == is_spelt_otherwise
    assert f"has      HTTP/localhost@{domain.name}" in tell(found)
    assert isinstance(kind().accept(domain.token(spn)), Accepted)


def test_in_active_directory_another_name_of_the_account_may_come_in(domain, tmp_path):
    """The ticket is accepted, and nothing in clear text says whether it would be."""
    keytab = domain.export_keytab(tmp_path / "keytab", "HTTP/alias.test")
    found = explain(domain.authorization("HTTP/localhost"), keytab)
    assert "if both are names of one account, this ticket is accepted" in tell(found)
    accepted = GssapiAcceptor(keytab=keytab).accept(domain.token("HTTP/localhost"))
    assert isinstance(accepted, Accepted)
    other = GssapiAcceptor(keytab=keytab).accept(domain.token("HTTP/other.test"))
    assert other.reason is Reason.SPN_NOT_IN_KEYTAB


def test_a_ticket_without_kvno_fits_every_key(realm):
    keys = read_keytab()
    ticket = Ticket("HTTP/localhost@EXAMPLE.TEST", "aes256-cts-hmac-sha1-96", None)
    assert ticket.objection(keys, "HTTP") is None
    assert ticket.objection(keys, "rest").reason is Reason.WRONG_SERVICE


@pytest.mark.parametrize(
    "form", ["{}", "Negotiate {}", "NEGOTIATE   {}", "Authorization: Negotiate {}\n"]
)
@pytest.mark.parametrize("width", [None, 76])
def test_a_token_as_it_is_pasted(realm, form, width):
    token68 = base64.b64encode(realm.token()).decode()
    if width:
        token68 = "\n".join(
            token68[at : at + width] for at in range(0, len(token68), width)
        )
    assert explain(form.format(token68)).ticket.spn == "HTTP/localhost@EXAMPLE.TEST"


@pytest.mark.parametrize(
    ("text", "reason", "kind"),
    [
        (NTLM, Reason.NTLM, "NEGOTIATE_MESSAGE (1)"),
        (f"NTLM {NTLM}", Reason.NTLM, "NEGOTIATE_MESSAGE (1)"),
        ("oQcwBaADCgEC", Reason.NEEDS_ANOTHER_LEG, "SPNEGO NegTokenResp"),
        ("Z2FyYmFnZQ==", Reason.MALFORMED, "a damaged token, or none"),
        ("not base64!", Reason.MALFORMED, "a damaged token, or none"),
        ("", Reason.MALFORMED, "a damaged token, or none"),
        ("Negotiate", Reason.MALFORMED, "a damaged token, or none"),
        ("Basic YWxpY2U6c2VjcmV0", Reason.NO_CREDENTIALS, "credentials of the scheme Basic"),
    ],
)  # fmt: skip
def test_what_is_no_ticket(text, reason, kind):
    found = explain(text)
    assert (found.refusal.reason, found.kind, found.ticket) == (reason, kind, None)
    assert ("fall back to NTLM" in tell(found)) == (reason is Reason.NTLM)


def test_a_token_cut_anywhere_is_explained(realm):
    token = realm.token()
    for size in range(0, len(token), 7):
        found = explain(base64.b64encode(token[:size]).decode())
        assert found.refusal.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    "content", [None, b"", b"not a keytab"], ids=["missing", "empty", "damaged"]
)
def test_a_keytab_that_cannot_be_used(realm, tmp_path, content):
    keytab = tmp_path / "keytab"
    if content is not None:
        keytab.write_bytes(content)
    done = run("--keytab", str(keytab), input=realm.authorization())
    assert done.returncode == 2, done.stderr
    assert (
        "ticket   HTTP/localhost@EXAMPLE.TEST kvno 1 aes256-cts-hmac-sha1-96\n"
        in done.stdout
    )
    assert f"refused  keytab-unusable: {Reason.KEYTAB_UNUSABLE.cause}\n" in done.stdout
    assert str(keytab) in done.stdout


def test_the_command(realm):
    good = run(realm.authorization())
    assert (good.returncode, good.stderr) == (0, "")
    bad = run("-", input=realm.authorization("HTTP/rotated.test"))
    assert (bad.returncode, bad.stderr) == (1, "")
    assert "the ticket has kvno 1, the keytab's newest is 2" in bad.stdout
    other = run("--service", "host", realm.authorization("host/localhost"))
    assert other.returncode == 0


def test_it_shows_no_part_of_a_token_or_a_key(realm):
    token = realm.token("HTTP/rotated.test")
    said = tell(explain(base64.b64encode(token).decode()))
    key = Path(realm.keytab).read_bytes()
    for secret in (base64.b64encode(token).decode(), token.hex(), key.hex()):
        for at in range(0, len(secret) - 24, 24):
            assert secret[at : at + 24].lower() not in said.lower()
    assert "secret" not in tell(explain("Basic YWxpY2U6c2VjcmV0"))
    assert "YWxpY2U6c2VjcmV0" not in tell(explain("Basic YWxpY2U6c2VjcmV0"))


def test_what_a_stranger_names_does_not_drive_the_terminal():
    said = tell(Explanation("token", 1, ticket=Ticket("HTTP/\x1b[2J\r\n@R", "e", 1)))
    assert "HTTP/\\x1b[2J\\r\\n@R" in said
    assert "\x1b" not in said
