"""The loop as a program for a GPU: compiled without one, counted, and measured where there is one."""
