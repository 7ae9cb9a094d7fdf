"""Drives one Python driver through what the server has to do for it.

client.py DRIVER TLS: DRIVER is pytds, pymssql, pyodbc or mssql; TLS is off, login or full. HOST, PORT, LOGIN, PASSWORD
and CERTIFICATE are in the environment. Says on stdout what it sees, when it sees it; ends with "end".
"""

import datetime
import decimal
import os
import sys
import threading
import uuid

HOST, PORT = os.environ["HOST"], int(os.environ["PORT"])
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

    live = False

    def connect(self, password=PASSWORD, timeout=None):
        import pytds

        tls = {}
        if TLS != "off":
            tls = {
                "cafile": os.environ["CERTIFICATE"],
                "validate_host": False,
                "enc_login_only": TLS == "login",
            }
        return pytds.connect(
            dsn=HOST, port=PORT, user=LOGIN, password=password, database="pubs", autocommit=True,
            timeout=timeout, **tls,
        )

    def messages(self, connection, batch):
        cursor = connection.cursor()
        cursor.execute(batch)
        while cursor.nextset():
            pass
        return [message.args[0] for _, message in cursor.messages]

    def parameters(self, connection):
        cursor = connection.cursor()
        cursor.execute("rows 2 where a = %s and b = %s and c = %s", ("text", 5, datetime.datetime(2024, 2, 29, 12, 0)))
        return cursor.fetchall()

    def cancel(self, connection):
        # It has a timeout, which drops the connection.
        self.connect(timeout=1).cursor().execute("hang")


class Pymssql:
    """pymssql, which is FreeTDS's DB-Library."""

    live = True

    def connect(self, password=PASSWORD):
        import pymssql

        encryption = {"off": "off", "login": "request", "full": "require"}[TLS]
        return pymssql.connect(
            server=HOST, port=str(PORT), user=LOGIN, password=password, database="pubs",
            autocommit=True, encryption=encryption, tds_version="7.4",
        )

    def messages(self, connection, batch):
        seen = []

        def handler(state, severity, server, procedure, line, text):
            text = text.decode()
            seen.append(text)
            say("message", text)

        connection._conn.set_msghandler(handler)
        connection.cursor().execute(batch)
        connection._conn.set_msghandler(None)
        return seen

    def parameters(self, connection):
        cursor = connection.cursor()
        cursor.execute("rows 2 where a = %s and b = %s", ("text", 5))
        return cursor.fetchall()

    cancel = None


class Pyodbc:
    """pyodbc over FreeTDS's ODBC driver."""

    live = True

    def connect(self, password=PASSWORD):
        import pyodbc

        driver = os.environ.get("FREETDS_ODBC")
        if not driver:
            cannot("no FreeTDS ODBC driver: run scripts/setup")
        pyodbc.pooling = False
        encryption = {"off": "off", "login": "request", "full": "require"}[TLS]
        return pyodbc.connect(
            f"DRIVER={driver};SERVER={HOST};PORT={PORT};UID={LOGIN};PWD={password};DATABASE=pubs;"
            f"TDS_Version=7.4;ClientCharset=UTF-8;Encryption={encryption}",
            autocommit=True,
        )

    def messages(self, connection, batch):
        seen = []
        cursor = connection.cursor()
        cursor.execute(batch)
        while True:
            for _, text in cursor.messages or ():
                text = text.rsplit("]", 1)[1]
                seen.append(text)
                say("message", text)
            if not cursor.nextset():
                return seen

    def parameters(self, connection):
        cursor = connection.cursor()
        cursor.execute("rows 2 where a = ? and b = ?", ("text", 5))
        return cursor.fetchall()

    def cancel(self, connection):
        # SQLExecDirect returns with the first message; the rest is waited for by nextset.
        cursor = connection.cursor()
        threading.Timer(0.3, cursor.cancel).start()
        cursor.execute("hang")
        while cursor.nextset():
            pass


class Mssql(Pyodbc):
    """mssql-python, which carries Microsoft's ODBC driver."""

    live = True

    def connect(self, password=PASSWORD):
        import mssql_python

        encryption = {"off": "no", "login": "optional", "full": "yes"}[TLS]
        return mssql_python.connect(
            f"SERVER={HOST},{PORT};UID={LOGIN};PWD={password};DATABASE=pubs;Encrypt={encryption};"
            "TrustServerCertificate=yes",
            autocommit=True,
        )

    cancel = None


def rows(connection, batch):
    cursor = connection.cursor()
    cursor.execute(batch)
    return cursor.fetchall()


def check_table(connection):
    values, nulls = rows(connection, "table")
    expected = [
        255, -2, -70000, 1 << 40, "Ünïcode 😀", "latin é", "D  ", "x" * 9000, True,
        datetime.datetime(2023, 3, 17, 0, 0, 1), decimal.Decimal(37000000012800001),
        decimal.Decimal("-123.45"), uuid.UUID("01020304-0506-0708-090a-0b0c0d0e0f10"),
        b"\x00\x01\xfe\xff", 0.5,
    ]
    assert len(values) == len(expected), values
    for index, (value, wanted) in enumerate(zip(values, expected)):
        if isinstance(wanted, uuid.UUID):
            value = uuid.UUID(str(value))
        assert value == wanted, (index, value, wanted)
    assert all(value is None for value in nulls), nulls


def main():
    driver = {"pytds": Pytds, "pymssql": Pymssql, "pyodbc": Pyodbc, "mssql": Mssql}[DRIVER]()
    try:
        connection = driver.connect()
    except ImportError as error:
        cannot(error)
    say("connected")

    percents = [f"{step} percent processed." for step in (20, 40, 60, 80, 100)]
    seen = driver.messages(connection, "progress paced" if driver.live else "progress")
    assert [text for text in seen if "percent" in text] == percents, seen
    assert "successfully processed 418 pages" in seen[-1], seen
    say("progress")

    assert [row[0] for row in rows(connection, "rows 1000")] == list(range(1000))
    check_table(connection)
    assert [row[0] for row in driver.parameters(connection)] == [0, 1]
    say("rows")

    try:
        rows(connection, "fail")
        raise SystemExit("no error was raised")
    except Exception as error:
        assert "Incorrect syntax near 'fail'" in str(error), repr(error)
    assert len(rows(connection, "rows 3")) == 3
    say("error")

    if driver.cancel:
        try:
            driver.cancel(connection)
        except Exception as error:
            say("cancelled", type(error).__name__)
    else:
        # What a user does when the driver has no cancel.
        say("kill")
        rows(connection, "hang")
    say("end")
    # Not connection.close(): it may wait for locks of a cancelled call.
    os._exit(0)


if sys.argv[3:] == ["wrong-password"]:
    try:
        {"pytds": Pytds, "pymssql": Pymssql, "pyodbc": Pyodbc, "mssql": Mssql}[DRIVER]().connect("wrong")
    except ImportError as error:
        cannot(error)
    except Exception as error:
        assert "Login failed for user" in str(error), repr(error)
        say("refused")
else:
    main()
