"""Real launchers, pools and servers, each with a small host whose uses are counted."""
