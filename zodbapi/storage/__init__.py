"""What is stored: databases, transactions, tables and indexes. The only package that knows ZODB."""

import logging

import ZODB.loglevels

# ZODB names two levels of its own for the whole process, where it is a guest: the names go back to what they were.
for _level in (ZODB.loglevels.BLATHER, ZODB.loglevels.TRACE):
    logging.addLevelName(_level, f"Level {_level}")
