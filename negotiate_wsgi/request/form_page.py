"""What does the sign-in form look like? Without script, and fit for password managers."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

from negotiate_wsgi.reasons import Reason

_FORM = """{said}
<form method="post" action="{action}">
<p><label for="username">User name</label>
<input id="username" name="username" autocomplete="username" autocapitalize="none"
spellcheck="false" maxlength="256" required aria-describedby="hint">
<span class="fine" id="hint">Your name in <code>{realm}</code> alone, without
<code>@</code> or a domain in front.</span></p>
<p><label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password"
required></p>
<input type="hidden" name="next" value="{onward}">
<p><button>Sign in</button></p>
</form>
{instead}"""
_INSTEAD = """<details>
<summary>Sign in without a password</summary>
<p>{advice}</p>
{more}</details>
"""
_WELCOME = "<p>Sign in with the account of your organisation.</p>"
_ALERT = '<p role="alert">{cause}</p>'


class FormPage(NamedTuple):
    """The page's form, and what it needs beside what is typed.

    :param action: the path that it posts to.
    :param onward: the path that the user wanted to see.
    :param realm: of the user names that are typed.
    """

    action: str
    onward: str
    realm: str

    def content(self, reason: Reason, advice: str, more: str) -> str:
        """The content of a page with the form. *advice* and *more* are HTML: what helps
        to get in without a password.
        """
        said = _WELCOME
        if reason is not Reason.NO_CREDENTIALS:
            said = _ALERT.format(cause=escape(reason.cause))
        instead = _INSTEAD.format(advice=advice, more=more)
        if reason is Reason.PASSWORD_REFUSED:
            instead = ""
        return _FORM.format(
            said=said,
            action=escape(self.action),
            realm=escape(self.realm),
            onward=escape(self.onward),
            instead=instead,
        )
