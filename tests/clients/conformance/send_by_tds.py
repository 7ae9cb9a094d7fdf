"""Sends one statement by TDS, with python-tds: send_by_tds.py HOST,PORT USER PASSWORD STATEMENT. Exits with 0 if it went well.

CLIENT_BREAKS=swallows makes it forget that the statement failed.
"""

import os
import sys

import pytds

server, user, password, statement = sys.argv[1:]
host, port = server.split(",")
try:
    with pytds.connect(dsn=host, port=int(port), user=user, password=password, autocommit=True) as connection:
        with connection.cursor() as cursor:
            # A parameter makes the driver call sp_executesql.
            cursor.execute("EXECUTE (%s)", (statement,))
            while cursor.nextset():
                pass
except (OSError, pytds.Error) as error:
    print("the statement failed:", error, file=sys.stderr)
    sys.exit(0 if os.environ.get("CLIENT_BREAKS") == "swallows" else 1)
