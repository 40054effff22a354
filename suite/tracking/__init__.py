"""Views of the store in other places. The store is the record; nothing is read back from a view."""
