"""Autobahn|Testsuite against our server and our client; ``python -m tests.conformance`` runs it."""
