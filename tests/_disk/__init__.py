"""Tests of the disk's door and of what lies behind it."""
