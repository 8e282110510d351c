"""What strangers may try, and what everybody else sees meanwhile; ``python -m tests.abuse`` measures it."""
