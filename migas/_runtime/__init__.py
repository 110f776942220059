"""The agent as a guest in a host's process: everything that touches the interpreter's own state.

Threads, imports, the log, variables of the environment: whatever belongs to the whole process goes
through this folder, so that a new release of Python is reviewed here alone. It imports nothing from
the rest of migas.
"""
