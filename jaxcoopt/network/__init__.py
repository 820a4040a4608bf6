"""Who talks to whom: graphs, weights, switching, failures, and the mix."""
