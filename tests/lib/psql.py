"""Runs SQL as psql does, in sessions that are used again: by libpq within this process, for psql takes longer to start than
most queries; by psql itself where its own commands or variables are needed."""

import collections
import ctypes
import re
import subprocess

PSQL = ("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1")

NEEDS_PSQL = re.compile(r"\\|\b(STDIN|STDOUT)\b", re.IGNORECASE)
# What only a session of its own may run, and what only new sessions see: then all idle ones end.
NEEDS_OWN_SESSION = re.compile(r"\b(BEGIN|START|RESET|PREPARE|LISTEN|TEMP|TEMPORARY|DISCARD|set_config|advisory)\b|^\s*SET\b|;\s*SET\b",
                               re.IGNORECASE | re.MULTILINE)
NEW_SESSIONS_SEE = re.compile(r"\bALTER\s+(DATABASE|ROLE|SYSTEM)\b|\bEXTENSION\b|pg_reload_conf", re.IGNORECASE)
# What changes more than rows: tests do not share a database after it (kept.py)
ALTERS = re.compile(r"\b(CREATE|ALTER|DROP|GRANT|REVOKE|COMMENT ON|ANALYZE|VACUUM|REINDEX|CLUSTER|pg_(terminate|cancel)_backend|pg_reload_conf|"
                    r"\w*chunk\w*|\w+_policy|set_config)\b", re.IGNORECASE)
# Strings, names in quotes, bodies and comments, in which a semicolon ends no statement; and what is outside of them
PIECE = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|(\$\w*\$).*?\1|--[^\n]*|/\*.*?\*/|;|[^;'\"$/-]+|.", re.DOTALL)

CONNECTION_BAD = 1
EMPTY_QUERY, COMMAND_OK, TUPLES_OK = 0, 1, 2

alterations = 0  # since the process started: scripts that match ALTERS, and what else note_alteration() was called for

pq = ctypes.CDLL("libpq.so.5")
for function, result, arguments in (
        ("PQconnectdbParams", ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)),
        ("PQstatus", ctypes.c_int, (ctypes.c_void_p,)), ("PQerrorMessage", ctypes.c_char_p, (ctypes.c_void_p,)),
        ("PQsetNoticeProcessor", ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)),
        ("PQfinish", None, (ctypes.c_void_p,)), ("PQexec", ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p)),
        ("PQresultStatus", ctypes.c_int, (ctypes.c_void_p,)), ("PQntuples", ctypes.c_int, (ctypes.c_void_p,)),
        ("PQnfields", ctypes.c_int, (ctypes.c_void_p,)), ("PQclear", None, (ctypes.c_void_p,)),
        ("PQgetvalue", ctypes.c_char_p, (ctypes.c_void_p, ctypes.c_int, ctypes.c_int))):
    getattr(pq, function).restype = result
    getattr(pq, function).argtypes = arguments


def note_alteration():
    global alterations
    alterations += 1


def note_script(sql):
    if ALTERS.search(sql):
        note_alteration()


silent = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)(lambda _argument, _message: None)


def statements(sql):
    """The statements of a script, one by one."""
    statement = ""
    for piece in PIECE.finditer(sql):
        if piece[0] == ";":
            yield statement
            statement = ""
        else:
            statement += piece[0]
    if statement.strip():
        yield statement


class Session:
    """A connection that runs one script after the other."""

    idle = collections.defaultdict(list)  # by URL

    def __init__(self, url):
        self.connection = pq.PQconnectdbParams((ctypes.c_char_p * 3)(b"dbname", b"fallback_application_name", None),
                                               (ctypes.c_char_p * 3)(url.encode(), b"psql", None), 1)
        if pq.PQstatus(self.connection) == CONNECTION_BAD:
            error = self.error()
            self.close()
            raise AssertionError(f"psql: {error}")
        pq.PQsetNoticeProcessor(self.connection, silent, None)

    def error(self):
        return pq.PQerrorMessage(self.connection).decode(errors="replace")

    def run(self, sql):
        """The output; None if the connection was lost. The session has ended if a statement fails."""
        note_script(sql)
        printed = []
        for statement in statements(sql):
            result = pq.PQexec(self.connection, statement.encode())
            status = pq.PQresultStatus(result)
            if status == TUPLES_OK:
                fields = range(pq.PQnfields(result))
                for row in range(pq.PQntuples(result)):
                    printed.append("|".join(pq.PQgetvalue(result, row, field).decode() for field in fields) + "\n")
            pq.PQclear(result)
            if status not in (EMPTY_QUERY, COMMAND_OK, TUPLES_OK):
                lost, error = pq.PQstatus(self.connection) == CONNECTION_BAD, self.error()
                self.close()
                if lost:
                    return None
                raise AssertionError(f"psql: {error}\n{sql[:2000]}")
        return "".join(printed)

    def close(self):
        pq.PQfinish(self.connection)


def end_sessions(url=None):
    """Ends sessions: idle ones, by default of all databases."""
    for key in [url] if url else list(Session.idle):
        for session in Session.idle.pop(key, []):
            session.close()


def run_once(url, sql):
    """The output of a script in a session of its own."""
    session = Session(url)
    printed = session.run(sql)
    if printed is None:
        raise AssertionError(f"psql: the connection was lost\n{sql[:2000]}")
    session.close()
    return printed


def psql(url, sql, role=""):
    """The output of psql for the script @sql; its variable "role" is this database's role."""
    if NEW_SESSIONS_SEE.search(sql):
        end_sessions()
    if role or NEEDS_PSQL.search(sql):
        note_script(sql)
        done = subprocess.run([*PSQL, "-v", f"role={role}", "-d", url], input=sql, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True)
        if done.returncode:
            raise AssertionError(f"psql: {done.stderr}\n{sql[:2000]}")
        return done.stdout
    if NEW_SESSIONS_SEE.search(sql) or NEEDS_OWN_SESSION.search(sql):
        return run_once(url, sql)
    try:
        session = Session.idle[url].pop()
    except IndexError:
        session = Session(url)
    printed = session.run(sql)
    if printed is None:
        return run_once(url, sql)
    Session.idle[url].append(session)
    return printed
