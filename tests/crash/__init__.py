"""Eight processes on one database while processes are killed at random moments: ``python -m tests.crash``.

``bank`` has the transactions and what must hold afterwards, ``worker`` is one of the processes, ``scene`` starts and kills
them, ``log`` is what they were told is committed.
"""
