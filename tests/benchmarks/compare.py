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

NAMES = {
    "plain": "unprotected",
    "ours_gssapi": "negotiate-wsgi, gssapi",
    "ours_pykerberos": "negotiate-wsgi, pykerberos",
    "ours_session": "negotiate-wsgi, session",
    "wsgi_kerberos": "WSGI-Kerberos ''",
    "wsgi_kerberos_hostname": "WSGI-Kerberos hostname",
    "flask_gssapi": "Flask-GSSAPI",
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
        [name, *(cell(seen[condition, name], ".1f") for condition in conditions)]
        for name in in_process.SUBJECTS
    ]
    return table(["microseconds per sign-on", *conditions], rows)


def of_http(seen):
    rows = [
        [server, NAMES.get(name, name), cell(subject.rates), cell(subject.cpus)]
        for (server, name), subject in seen.items()
    ]
    return table(["server", "guard", "requests/s", "CPU us per request"], rows)


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
    return found >= aim if "requests/s" in sentence else found <= aim


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
    http = over_http.measure(options.rounds, 2500, tell)
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
    text = "\n".join([
        f"# Measured\n\nBy `tests/benchmarks/run --rounds {options.rounds}`, {os.cpu_count()} cores, "
        f"Python {sys.version.split()[0]}. Medians; ratios are medians of the rounds' ratios.\n",
        of_aims(aims), of_process(inside), of_http(http), of_around(beside),
    ])  # fmt: skip
    (results / "table.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
