"""Nothing acknowledged is lost: power cuts on a modelled disk, and kills at every step of a move."""
