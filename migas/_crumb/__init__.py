"""What a breadcrumb says: its fields, what it runs on, and which private words are removed from it.

This folder knows no disk and no server. `breadcrumb` defines the record, `environment` finds out
the fields that no caller passes, and `redaction` cleans the texts, with `forms`, `credentials`,
`mentions` and `words`.
"""
