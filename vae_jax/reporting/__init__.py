"""Output for people: figures of samples, tables, pages."""
