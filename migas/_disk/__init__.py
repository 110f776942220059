"""The door to the disk: the spool, its entries and stamps, and the user's id."""
