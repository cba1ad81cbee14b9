"""The rules, and nothing else: values in, values out.

No file, socket, clock, random number or await is in here; time and entropy come as arguments. A
request becomes an `Access` (`routes`), an `Access` and a credential become a `Decision`
(`broker`), and what may cross the proxy, in either direction, is in `headers` and `rewrite`.
"""
