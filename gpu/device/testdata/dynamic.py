# What made dynamic.f32: the 8-bit codes of bitsandbytes 0.50.2, signed then
# unsigned, as little-endian float32. Run it where bitsandbytes is installed.
import numpy
from bitsandbytes.functional import create_dynamic_map

codes = [create_dynamic_map(signed=signed).numpy().astype("<f4") for signed in (True, False)]
numpy.concatenate(codes).tofile("dynamic.f32")
