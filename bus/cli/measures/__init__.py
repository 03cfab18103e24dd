"""What `assent bench` measures: each module one question, asked of a real bus."""
