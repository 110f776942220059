"""Interpreters that few machines have: each is fetched and prepared, and runs tests made for it."""
