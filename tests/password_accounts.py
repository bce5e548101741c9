"""Accounts with passwords that are no ordinary ones, or in which something is wrong."""

#: User names, and passwords that are no ordinary ones.
PASSWORDS = {
    "pw-right": "Rìght-Passw0rd: €, \U0001f511 and a tab\t",
    "pw-long": "xY1-" * 60,
    "pw-ünïcødé": "Passw0rd-ünïcødé",
    "pw spaced": "  Passw0rd with spaces  ",
}
#: What is wrong with an account, and what the KDC says of it: to a right password, and to a wrong one.
REVOKED = "Client's credentials have been revoked"
EXPIRED = "Password has expired"
ENDED = "Client's entry in database has expired"
WRONG = "Preauthentication failed"
TROUBLES = {
    "disable": {"mit": (REVOKED, REVOKED), "samba": (REVOKED, WRONG)},
    "end_account": {"mit": (ENDED, ENDED), "samba": (REVOKED, WRONG)},
    "expire_password": {"mit": (EXPIRED, EXPIRED), "samba": (EXPIRED, WRONG)},
    "require_change": {"mit": (EXPIRED, EXPIRED), "samba": (EXPIRED, WRONG)},
    "lock": {"mit": (REVOKED, REVOKED), "samba": (REVOKED, REVOKED)},
}


def account_in(trouble):
    return "pw-" + trouble.replace("_", "-")
