"""One agent's connection over the protocol `assent.v1`, whatever carries its frames.

Rule: nothing here knows of sockets or HTTP. A session takes decoded frames, asks the
agent behind the gate, and leaves what is to be sent with its outbound side; what it held
for a client that goes away is given back at once.
"""
