"""Runs a page's blocks of Python in one namespace: one for each line of standard input."""

import contextlib
import io
import json
import linecache
import sys
import traceback

answers = sys.stdout
names = {"__name__": "page"}
for line in sys.stdin:
    place, text = json.loads(line)
    linecache.cache[place] = (len(text), None, text.splitlines(True), place)
    problem = None
    with contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            exec(compile(text, place, "exec"), names)
        except BaseException:
            problem = traceback.format_exc()
    print(json.dumps([said.getvalue(), problem]), file=answers, flush=True)
