"""An SQL database in pure Python on ZODB BTrees."""
