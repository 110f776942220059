"""What a client costs its host, measured as ratios in one run: `python -m tests.bench`."""
