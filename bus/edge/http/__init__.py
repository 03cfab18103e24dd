"""What a node serves over HTTP: the operations, the WebSocket, health, and the console."""
