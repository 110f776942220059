"""What a breadcrumb says, and what is taken out of it."""
