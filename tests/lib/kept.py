"""The database and the daemon that the tests of a class with `shares_daemon` use one after another. If a test fails, changes more than
rows, or ends a daemon, the next test gets new ones."""

from lib import psql

TABLES = "spending, platform_connections, boris_ingestd_connection_labels, boris_ingestd_relay"
# Sessions of daemons that were killed may still be storing something.
END_SESSIONS = """SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'psql'"""


class Kept:
    def __init__(self, db):
        self.db = db
        self.attributes = dict(vars(db))
        self.daemon = None
        self.lent = False  # the daemon, to the running test
        self.spoiled = False
        self.alterations = psql.alterations

    def enter(self):
        """Called before a test: removes all rows, and the daemon's memory of them. Returns whether that was possible."""
        vars(self.db).update(self.attributes)  # a test may have set another URL
        sql = f"TRUNCATE {TABLES} CASCADE"
        try:
            psql.psql(self.db.url, sql if self.daemon else f"{END_SESSIONS}; {sql}")
            if self.daemon:
                self.daemon.forget()
        except AssertionError:
            return False
        self.alterations = psql.alterations
        return True

    def lend(self, make):
        """The daemon, which make() starts if there is none."""
        self.daemon = self.daemon or make()
        self.lent = True
        return self.daemon

    def leave(self):
        """Called after a test. Raises an error if the daemon's log of the test shows a fault."""
        lent, self.lent, self.spoiled = self.lent, False, True
        if psql.alterations == self.alterations and not (self.daemon and self.daemon.is_disturbed()):
            self.spoiled = lent and not self.daemon.settle()

    def close_daemon(self):
        daemon, self.daemon = self.daemon, None
        if daemon:
            daemon.close()

    def close(self):
        try:
            self.close_daemon()
        finally:
            self.db.close()
