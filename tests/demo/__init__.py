"""The demo: a bookshop in Django's admin, made by ``make demo`` and driven in a browser by the tests."""
