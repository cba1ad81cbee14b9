"""The rules: values in, values out.

No file, socket, clock, random number or await is used here; time and entropy are arguments. `core.hub` turns a request
into an `Access`, `core.policy` turns an `Access` and a grant into a `Decision`, and `core.http` with `core.hub.rewrite`
says which bytes cross the proxy in either direction.
"""
