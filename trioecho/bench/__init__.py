"""
A load generator for any WebSocket server that relays messages: the engine of ``trioecho bench``.

Plain synchronous code on non-blocking sockets: it has a process of its own, and a microsecond that it spends
on a message is one by which no server can be seen to be faster. The server and the client use nothing of it.

Read it in this order: ``plan`` (what is asked), ``messages`` (what will be sent, known in advance),
``stream`` (how far each publisher's messages have come), ``track`` (what one receiver has seen of them),
``connection`` (writing), ``receiver`` (reading and comparing), ``pace`` (when to send), ``loop`` (the one
place that waits), ``target``, ``sources``, ``handshake`` and ``dial`` (connecting), ``load`` (the phases of a
run), ``storm`` and ``returning`` (a run in which many leave and come back), ``report``.
"""
