"""Files of documents: recognized, read, written."""
