"""From the bytes of a document to its text: what the sources share, built in and in plugins."""
