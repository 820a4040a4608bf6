"""The lines that small experiments of these tests share."""

SIX_ON_A_RING = """
steps = 20
precision = "float64"
[[network.graphs]]
kind = "topology"
name = "ring"
nodes = 6
"""
