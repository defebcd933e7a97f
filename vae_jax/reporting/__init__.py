"""What people look at: figures of samples, tables, pages."""
