"""One process's life: its agent, its runs, and how it ends."""
