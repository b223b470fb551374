"""Runs SQL by psql, in sessions that are used again."""

import collections
import contextlib
import re
import subprocess
import tempfile
import uuid

PSQL = ("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1")

# What only a session of its own may run, and what only new sessions see: then all idle ones end.
NEEDS_OWN_SESSION = re.compile(r"\\|\b(BEGIN|START|RESET|PREPARE|LISTEN|TEMP|TEMPORARY|DISCARD|set_config|advisory)\b|^\s*SET\b|;\s*SET\b",
                               re.IGNORECASE | re.MULTILINE)
NEW_SESSIONS_SEE = re.compile(r"\bALTER\s+(DATABASE|ROLE|SYSTEM)\b|\bEXTENSION\b|pg_reload_conf", re.IGNORECASE)


class Psql:
    """A psql that runs one script after the other, since starting one takes longer than most queries."""

    idle = collections.defaultdict(list)  # by URL

    def __init__(self, url):
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([*PSQL, "-d", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True)

    def run(self, sql):
        """The output; None if its connection was lost."""
        end = f"end-{uuid.uuid4().hex}\n"
        printed = []
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{sql}\n;\n\\echo {end}")
            self.process.stdin.flush()
        for line in self.process.stdout:
            if line == end:
                return "".join(printed)
            printed.append(line)
        status, errors = self.close()
        if status == 2:
            return None
        raise AssertionError(f"psql: {errors}\n{sql[:2000]}")

    def close(self):
        """The exit status, and psql's error output."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        status = self.process.wait()
        self.errors.seek(0)
        with self.errors:
            return status, self.errors.read()


def end_sessions(url=None):
    """Ends sessions: idle ones, by default of all databases."""
    for key in [url] if url else list(Psql.idle):
        for session in Psql.idle.pop(key, []):
            session.close()


def psql(url, sql, role=""):
    """The output of psql for the script @sql; its variable "role" is this database's role."""
    if NEW_SESSIONS_SEE.search(sql):
        end_sessions()
    elif not role and len(sql) < 30_000 and not NEEDS_OWN_SESSION.search(sql):
        try:
            session = Psql.idle[url].pop()
        except IndexError:
            session = Psql(url)
        printed = session.run(sql)
        if printed is not None:
            Psql.idle[url].append(session)
            return printed
    done = subprocess.run([*PSQL, "-v", f"role={role}", "-d", url], input=sql, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)
    if done.returncode:
        raise AssertionError(f"psql: {done.stderr}\n{sql[:2000]}")
    return done.stdout
