"""Readable source code for what no weights file can say: a PyTorch module that needs torch and safetensors only."""
