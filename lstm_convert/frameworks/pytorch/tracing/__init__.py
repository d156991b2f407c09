"""Whole networks out of live PyTorch modules: torch.export says what is computed, the tables here what that is."""
