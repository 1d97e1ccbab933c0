"""The store: history of the metrics, and the trail of what was planned, intended and done. One SQLite file.

Nothing is imported here: `database` costs a second of CPU, and most commands need no store.
"""
