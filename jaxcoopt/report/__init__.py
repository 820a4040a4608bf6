"""Tables, pictures and files made from a result."""
