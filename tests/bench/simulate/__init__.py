"""A seeded discrete-event model of many hosts and one server: `python -m tests.bench.simulate`."""
