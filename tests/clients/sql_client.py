"""Runs T-SQL with one Python driver and says what the driver hands out, when it does.

sql_client.py DRIVER TLS: DRIVER is pytds, pymssql, pyodbc or mssql; TLS is off, login or full. PORT, LOGIN, PASSWORD,
CERTIFICATE (a PEM file) and FREETDS_ODBC are in the environment. Reads commands on standard input, one a line:

    run BATCH       executes it; says "message TEXT" for each message, "row VALUES" for each row, "error TEXT" for an
                    error, then "done"
    cancel BATCH    the same, and cancels it as soon as there is a message
"""

import os
import sys

HOST, PORT = "127.0.0.1", int(os.environ["PORT"])
LOGIN, PASSWORD = os.environ["LOGIN"], os.environ["PASSWORD"]
DRIVER, TLS = sys.argv[1], sys.argv[2]


def say(*words):
    print(*words, flush=True)


def cannot(why):
    """The driver can't do this: the test skips it by name."""
    say("cannot", why)
    sys.exit(0)


class Pytds:
    """python-tds: TLS only with a certificate to check against."""

    def connect(self):
        import pytds

        tls = {}
        if TLS != "off":
            tls = {"cafile": os.environ["CERTIFICATE"], "validate_host": False, "enc_login_only": TLS == "login"}
        return pytds.connect(dsn=HOST, port=PORT, user=LOGIN, password=PASSWORD, autocommit=True, **tls)

    def run(self, connection, batch):
        # It gives its messages out at the end; what it has received can be seen in its session.
        import pytds.tds_session as tds_session

        receive = tds_session._TdsSession.process_msg

        def process_msg(session, marker):
            receive(session, marker)
            say("message", session.messages[-1]["message"])

        tds_session._TdsSession.process_msg = process_msg
        try:
            fetch(connection, batch)
        finally:
            tds_session._TdsSession.process_msg = receive


class Pymssql:
    """pymssql, which is FreeTDS's DB-Library."""

    def connect(self):
        import pymssql

        encryption = {"off": "off", "login": "request", "full": "require"}[TLS]
        return pymssql.connect(
            server=HOST, port=str(PORT), user=LOGIN, password=PASSWORD, autocommit=True, encryption=encryption,
            tds_version="7.4",
        )

    def run(self, connection, batch):
        connection._conn.set_msghandler(lambda state, severity, server, procedure, line, text: say("message", text.decode()))
        try:
            fetch(connection, batch)
        finally:
            connection._conn.set_msghandler(None)


class Pyodbc:
    """pyodbc over FreeTDS's ODBC driver."""

    def connect(self):
        import pyodbc

        driver = os.environ.get("FREETDS_ODBC")
        if not driver:
            cannot("no FreeTDS ODBC driver: run scripts/setup")
        pyodbc.pooling = False
        encryption = {"off": "off", "login": "request", "full": "require"}[TLS]
        return pyodbc.connect(
            f"DRIVER={driver};SERVER={HOST};PORT={PORT};UID={LOGIN};PWD={PASSWORD};TDS_Version=7.4;"
            f"ClientCharset=UTF-8;Encryption={encryption}",
            autocommit=True,
        )

    def run(self, connection, batch, cancel=False):
        cursor = connection.cursor()
        cursor.execute(batch)
        while True:
            for _, text in cursor.messages or ():
                say("message", text.rsplit("]", 1)[1])
                if cancel:
                    cursor.cancel()
                    cancel = False
            if cursor.description:
                rows(cursor)
            if not cursor.nextset():
                return

    def cancel(self, connection, batch):
        self.run(connection, batch, cancel=True)


class Mssql(Pyodbc):
    """mssql-python, which carries Microsoft's ODBC driver."""

    def connect(self):
        import mssql_python

        encryption = {"off": "no", "login": "optional", "full": "yes"}[TLS]
        return mssql_python.connect(
            f"SERVER={HOST},{PORT};UID={LOGIN};PWD={PASSWORD};Encrypt={encryption};TrustServerCertificate=yes",
            autocommit=True,
        )


def rows(cursor):
    for row in cursor.fetchall():
        say("row", *row)


def fetch(connection, batch):
    cursor = connection.cursor()
    cursor.execute(batch)
    while True:
        if cursor.description:
            rows(cursor)
        if not cursor.nextset():
            return


def main():
    driver = {"pytds": Pytds, "pymssql": Pymssql, "pyodbc": Pyodbc, "mssql": Mssql}[DRIVER]()
    try:
        connection = driver.connect()
    except ImportError as error:
        cannot(error)
    say("connected")
    for line in sys.stdin:
        verb, batch = line.strip().split(" ", 1)
        try:
            {"run": driver.run, "cancel": getattr(driver, "cancel", None)}[verb](connection, batch)
        except Exception as error:
            say("error", str(error).replace("\n", " "))
        say("done")


main()
# Not the drivers' own ends: they may wait for locks of a cancelled call.
os._exit(0)
