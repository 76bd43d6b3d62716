// What the attention operators share.
#ifndef ATTENTION_H
#define ATTENTION_H

#include "kernels.h"

// key and value are where those of a group begin.
static inline const float *key(const float *row, heads s, long g) { return row + (s.a + g) * s.d; }
static inline const float *value(const float *row, heads s, long g) { return row + (s.a + s.g + g) * s.d; }

#endif
