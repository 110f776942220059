"""A breadcrumb's way from the call to the disk, and from there to the server."""
