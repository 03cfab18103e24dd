"""The same measurements for Assent, its peers and the hand-written floor."""
