"""Which media type does the client like best?"""

import pytest

from negotiate_wsgi.wire.accept import preferred_type

TYPES = ("text/html", "application/json", "text/plain")
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "default"),
        ("*/*", "default"),
        ("text/*", "default"),
        ("image/png", "default"),
        (BROWSER, "text/html"),
        ("TEXT/HTML", "text/html"),
        ("application/json", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("application/json, text/javascript, */*; q=0.01", "application/json"),
        ("text/plain, application/json", "text/plain"),
        ("text/html, application/json", "text/html"),
        ("text/html;q=0.5, application/json;q=0.9", "application/json"),
        ("text/html; Q=0.5 ,application/json ;q=0.4", "text/html"),
        ("*/*, text/html", "text/html"),
        ("text/html;q=0.2, */*;q=0.5", "default"),
        ("text/html;level=1;q=0.2, application/json;q=0.1", "text/html"),
        # What is no weight, or 0, is not wanted.
        ("text/html;q=0", "default"),
        ("text/html;q=0.000, application/json;q=0.001", "application/json"),
        *(
            (f"text/html;q={weight}", "default")
            for weight in ("2", "-1", "nan", "inf", "x", "")
        ),
        *(
            (junk, "default")
            for junk in (",", ";", "=", ";q=1", ",;,;", "/", "\0", "é", "q=1")
        ),
        # Bounds
        ("a/b," * 15 + "text/html", "text/html"),
        ("a/b," * 16 + "text/html", "default"),
        (BROWSER + " " * 500, "text/html"),
        ("a/b;x=" + "y" * 180 + ",text/html", "text/html"),
        ("a/b;x=" + "y" * 190 + ",text/html", "default"),
        ("a/b;x=" + "y" * 181 + ",text/html;q=0.1, application/json", "default"),
        ("," * 2**20, "default"),
    ],
)
def test_preferred_type(header, expected):
    assert preferred_type(header, TYPES, "default") == expected
