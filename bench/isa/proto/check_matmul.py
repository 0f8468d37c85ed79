#!/usr/bin/env python3
"""Writes the products that check_matmul.ts checks, at a size that no tile divides:  check_matmul.py FOLDER"""

import sys

from matmul_variants import TRANSPOSED, VARIANTS, write

SIZE = (200, 136, 192)
write(
    sys.argv[1],
    {operands: SIZE for operands in TRANSPOSED},
    VARIANTS | {"splitk": dict(inter=True, splitk=4)},
)
