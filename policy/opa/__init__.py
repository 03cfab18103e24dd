"""An OPA server as the engine: it is asked, watched and administered from here."""
