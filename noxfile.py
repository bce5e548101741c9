"""Run   nox   runs the tests under each Python that is found, and builds what a release needs.

Run   nox --list   names the sessions. The whole suite is tests/run, with the distribution's own
Python, which is the one that its uWSGI and mod_wsgi have.
"""

import nox

nox.needs_version = ">=2024.10"
nox.options.sessions = ["tests", "manual", "package"]
nox.options.error_on_missing_interpreters = False
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
#: Built for the distribution's own Python alone.
ELSEWHERE = "not uwsgi and not apache"


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests, but for those of uWSGI and of Apache's mod_wsgi."""
    session.run(
        "tests/run", "-k", ELSEWHERE, *session.posargs,
        env={"PYTHON": f"{session.bin}/python"}, external=True,
    )  # fmt: skip


@nox.session
def manual(session: nox.Session) -> None:
    """The manual in HTML, and the man page: docs/_build."""
    session.install(".[docs]")
    for builder in ("html", "man"):
        session.run(
            "sphinx-build", "-W", "-n", "-b", builder, "docs", f"docs/_build/{builder}"
        )


@nox.session
def package(session: nox.Session) -> None:
    """The sdist and the wheel, checked: dist. The same commit gives the same wheel."""
    session.install("build", "twine")
    seconds = session.run(
        "git", "log", "-1", "--format=%ct", external=True, silent=True
    )
    session.env["SOURCE_DATE_EPOCH"] = str(seconds).strip()
    session.run("python", "-m", "build")
    session.run("twine", "check", "--strict", "dist/*")


@nox.session
def sbom(session: nox.Session) -> None:
    """The bill of materials of what runs in production, after package: dist/negotiate-wsgi.cdx.json."""
    production = f"{session.create_tmp()}/production"
    session.run("python", "-m", "venv", "--clear", production)
    pip = [f"{production}/bin/pip", "install"]
    # Not by its path, which would stand in the bill.
    ours = ["--no-deps", "--no-index", "--find-links", "dist", "negotiate-wsgi"]
    session.run(*pip, *ours, external=True)
    session.run(*pip, "negotiate-wsgi[flask,gssapi]", external=True)
    session.install("cyclonedx-bom")
    bill = "dist/negotiate-wsgi.cdx.json"
    session.run(
        "cyclonedx-py", "environment", "--output-reproducible", "-o", bill, production
    )
