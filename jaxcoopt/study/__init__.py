"""Many settings and seeds as one job: in chunks along the runs axis, over devices, in a store that survives a kill."""
