"""``trioecho top``: what servers do now, in a terminal."""
