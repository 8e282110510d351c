"""Listen, admit, shut down."""
