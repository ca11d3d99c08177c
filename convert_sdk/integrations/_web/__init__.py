"""The engine of all web integrations; there is no framework in it.

How a request passes through
----------------------------
1. An integration describes the request as a `WebRequest` (`request`) and opens a `RequestScope` (`scope`) for it.
   Neither reads a header yet.
2. The first verb of the application makes the visitor. In this order the scope asks `verdict` (bots, prefetches,
   the browser's privacy signals), the application's `consent=`, `identity` (the id of the visitor, or a new one),
   and `facts` (what rules may ask of the request, under the application's attributes).
3. When the response begins, the integration asks the scope for its headers (`response`): nothing if no visitor was
   made, else `Vary`, `Cache-Control` and the cookies. `cookies` is the one place that reads and writes cookies.
"""
