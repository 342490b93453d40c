"""Load on a Django project whose processes share one file: ``python -m tests.load``.

``browser`` is a person in the admin, ``site`` are the processes, the program has the people and the report.
"""
