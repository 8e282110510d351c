"""The same port for browsers, curl and machines: plain HTTP beside the WebSocket."""
