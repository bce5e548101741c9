"""How may a client sign on by a password? By a challenge, or by a form on our page."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from negotiate_wsgi.request.form_page import FormPage


class Offer(NamedTuple):
    """How a client may sign on by a password.

    :param challenge: of Basic, or None.
    :param form: on our page, or None.
    """

    challenge: str | None = None
    form: FormPage | None = None


NO_OFFER = Offer()
