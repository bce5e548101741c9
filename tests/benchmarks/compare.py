"""All benchmarks in one run: a table and a chart, which the manual shows. See tests/benchmarks/run."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE), str(Path(sys.prefix) / "peers")]

import around
import in_process
import over_http
import pygal

#: Of each row over HTTP, in all rounds together: ten seconds of the fastest.
TOKENS = 80_000
NAMES = {
    "plain": "unprotected",
    "arithmetic": "arithmetic alone",
    "ours_gssapi": "negotiate-wsgi, gssapi",
    "ours_pykerberos": "negotiate-wsgi, pykerberos",
    "ours_session": "negotiate-wsgi, session",
    "wsgi_kerberos": "WSGI-Kerberos ''",
    "wsgi_kerberos_hostname": "WSGI-Kerberos hostname",
    "flask_gssapi": "Flask-GSSAPI",
}


#: What each does besides accepting the token and answering with the mutual one, and what not.
DOES = {
    "C, best": "no server, no rules: the library's two calls for a token",
    "C, pinned": "the same, and reads the keytab for each token",
    "C": "the same, and reads krb5.conf for each token",
    "ours, gssapi": "the key's SPN has to be ours; cross-site rule; policy; no log is written",
    "ours, gssapi, a record in a file": "the same, and a record at INFO for each sign-on",
    "ours, pykerberos": "the same rules; the library tries every key of the keytab",
    "bare pykerberos, pinned": "no middleware, no rules; krb5.conf is read once",
    "bare pykerberos": "no middleware, no rules",
    "WSGI-Kerberos ''": "any key of the keytab lets in, of whatever service",
    "WSGI-Kerberos hostname": "acquires a credential for each token; asks DNS for the name",
    "Flask-GSSAPI": "Flask's routing and views are in it; acquires a credential for each token",
    "unprotected": "lets everybody in",
    "negotiate-wsgi, gssapi": "as in process",
    "negotiate-wsgi, pykerberos": "as in process",
    "negotiate-wsgi, session": "a signed cookie, no token",
    "gokrb5": "no mutual token; replays known to one process alone; no Python",
    "mod_auth_gssapi": "Apache sends a file of six bytes; GssapiAllowedMech krb5",
    "mod_auth_gssapi, sessions": "an encrypted cookie, no token; Apache sends the file",
    "mod_auth_gssapi, mod_wsgi": "the application in a process of its own behind Apache",
}


def tell(text):
    print(f"... {text}", file=sys.stderr, flush=True)


def cell(figures, form=".0f"):
    return format(statistics.median(figures), form) if figures else ""


def table(headings, rows):
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def of_process(seen):
    conditions = list(dict.fromkeys(condition for condition, _ in seen))
    rows = [
        [
            name,
            *(cell(seen[condition, name], ".1f") for condition in conditions),
            DOES[name],
        ]
        for name in in_process.SUBJECTS
    ]
    headings = ["microseconds per sign-on", *conditions, "what it does besides"]
    return table(headings, rows)


def of_http(seen):
    rows = [
        [
            server,
            NAMES.get(name, name),
            cell(subject.rates),
            cell(subject.cpus),
            DOES[NAMES.get(name, name)],
        ]
        for (server, name), subject in seen.items()
    ]
    headings = ["server", "guard", "requests/s", "CPU us per request"]
    return table([*headings, "what it does besides"], rows)


def of_around(seen):
    labels = list(dict.fromkeys(label for label, _ in seen))
    names = list(dict.fromkeys(name for _, name in seen))
    rows = [
        [label, *(cell(seen.get((label, name)), ".1f") for name in names)]
        for label in labels
    ]
    return table(["", *(NAMES[name] for name in names)], rows)


def of_aims(aims):
    rows = [
        [
            sentence,
            f"{found:.2f}",
            f"{aim:.2f}",
            "yes" if is_reached(sentence, found, aim) else "no",
        ]
        for sentence, found, aim in aims
    ]
    return table(["aim", "found", "wanted", "reached"], rows)


def is_reached(sentence, found, aim):
    return found >= aim if "s/s" in sentence else found <= aim


def chart_of_workers(seen):
    """Sign-ons per second in process, by threads and processes."""
    bars = pygal.Bar(
        title="Sign-ons per second on two cores, with one replay cache", width=700, height=320,
        legend_at_bottom=True, js=[], print_values=True, value_formatter=lambda v: f"{v:.0f}",
    )  # fmt: skip
    labels = [
        label for label, name in seen if "threads" in label and name == "ours_gssapi"
    ]
    bars.x_labels = labels
    for name in ("ours_gssapi", "ours_pykerberos"):
        bars.add(NAMES[name], [statistics.median(seen[each, name]) for each in labels])
    return bars.render()


def chart(seen):
    """Sign-ons per second over HTTP, by server."""
    bars = pygal.HorizontalBar(
        title="Sign-ons per second, one worker on one core", width=900, height=420,
        legend_at_bottom=True, js=[], print_values=True, value_formatter=lambda v: f"{v:.0f}",
    )  # fmt: skip
    bars.x_labels = ["gunicorn gthread", "uWSGI", "Apache"]
    shown = ("ours_gssapi", "ours_pykerberos", "wsgi_kerberos", "wsgi_kerberos_hostname",
             "flask_gssapi", "mod_auth_gssapi")  # fmt: skip
    for name in shown:
        servers = [
            seen.get((server, name))
            for server in ("gunicorn-gthread", "uwsgi", "apache")
        ]
        bars.add(
            NAMES.get(name, name), [s and statistics.median(s.rates) for s in servers]
        )
    return bars.render()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    inside = in_process.measure(options.rounds * 2, 100, tell)
    http = over_http.measure(options.rounds, TOKENS // options.rounds, tell)
    beside = around.measure(max(1, options.rounds // 3), tell)
    aims = [
        (f"{ours} ({here}) over {theirs} ({there})",
         in_process.ratio(inside[here, ours], inside[there, theirs]), aim)
        for (here, ours, there, theirs), aim in in_process.AIMS.items()
    ]  # fmt: skip
    aims += [*over_http.aims(http), *around.aims(beside)]
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    (results / "chart.svg").write_bytes(chart(http))
    (results / "workers.svg").write_bytes(chart_of_workers(beside))
    text = "\n".join([
        f"# Measured\n\nBy `tests/benchmarks/run --rounds {options.rounds}`, {os.cpu_count()} cores, "
        f"Python {sys.version.split()[0]}. Medians; ratios are medians of the rounds' ratios.\n",
        of_aims(aims), of_process(inside), of_http(http), of_around(beside),
    ])  # fmt: skip
    (results / "table.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
