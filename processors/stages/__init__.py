"""Built-in stages: each changes or ends a message that policy has let in."""
