"""The edge of a node: what agents, operators and browsers reach over the network.

Rule: who somebody is comes from the credential, what they may do from policy; a door
(HTTP, WebSocket, MCP, hook) only translates, and every one of them asks the same gate.
"""
