"""The bus from afar: the same interface as the embedded one, over a WebSocket."""
