// Package half converts float32 to and from the two formats of half its width:
// IEEE 754 binary16 and bfloat16, rounding to the nearest, ties to even.
package half
