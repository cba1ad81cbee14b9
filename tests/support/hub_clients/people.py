"""The tokens of the people in these tests, and a file that is large for their hub."""

import random

REAL = "hf_RealTokenOfMe0123456789"
READER = "hf_ReadOnlyTokenOfMe0123456789"
OTHER = "hf_TokenOfSomeoneElse0123456789"
BIG = random.Random(1).randbytes(100_000)
