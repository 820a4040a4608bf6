"""How fast the engine is, beside what else one could write, in one process and with the same answer checked."""
