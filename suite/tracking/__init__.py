"""Views of the store in tracking services. Nothing is read back from them."""
