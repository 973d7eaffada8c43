"""A loopback server that speaks the CRMs' protocols from one data set: for the demo, for development, for the tests.

`server` is the way in. Nothing outside this package is imported, and no connector imports it.
"""
