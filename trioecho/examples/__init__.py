"""Programs to begin with: ``trioecho example`` lists them, ``trioecho example NAME`` runs one."""
