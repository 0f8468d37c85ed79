#!/usr/bin/env python3
"""Writes the attention that check_attention.ts checks:  check_attention.py FOLDER"""

import sys

from tiled_attention import write

write(sys.argv[1], tokens=100, heads=2)
