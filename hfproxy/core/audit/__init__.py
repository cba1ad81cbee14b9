"""The journal's hash chain, reports on its entries, and the metrics of the data plane."""
