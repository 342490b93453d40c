"""Django on ZODB: ``ENGINE = "django_zodb"``, ``NAME`` a path, ``:memory:``, ``memory://NAME`` or a zodburi URI.

A thin backend. Django's SQLite forms of expressions are used wherever a node has one (``compiler``); what is overridden
is what the database does differently, with the reason beside it:

==================  ============================================================================================
``base``            the connection: types, operators, transaction control through driver methods
``features``        what the database can do
``operations``      SQL fragments, and values on their way in and out
``compiler``        ``as_zodb``, else ``as_sqlite``, else ``as_sql``
``expressions``     ``as_zodb`` of the few nodes whose SQLite form is not right here
``functions``       the SQL functions that Django's expressions call and the engine lacks
``schema``          migrations: real ALTER
``introspection``   tables as the engine's catalog knows them
``creation``        test databases, in memory and cloned in milliseconds
``client``          ``manage.py dbshell``
``transaction``     ``atomic`` at an isolation level, ``retry`` and ``retrying``
``middleware``      views that are run again after a lost conflict
==================  ============================================================================================
"""
