"""Long runs of real processes while everything around them fails."""
