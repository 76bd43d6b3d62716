#ifndef PEAK_H
#define PEAK_H

enum { FP32, BF16_AVX512, BF16_AMX, READ, PROBES };

// peak_name is what a probe measures, "" when this processor cannot run it.
const char *peak_name(int probe);
// peak_run is the rate of one try of about that many seconds, all threads
// together: operations or bytes a second. Negative where threads or memory
// cannot be had.
double peak_run(int probe, int threads, double seconds);

#endif
