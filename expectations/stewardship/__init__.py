"""What stewards and their database know: incidents, waivers, releases, the history of all that was done.

Which records are bad is decided by the gates; who is told where, and how it looks in a shell, by `orchestration`.
"""
