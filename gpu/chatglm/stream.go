package chatglm

// Streams of random numbers ([device.Stream]) of a step, beside those of the layers' LoRA branches, which are numbered from 0.
const (
	prefixNoise    = 1 << 32 // of the prefix's dropout
	embeddingNoise = 2 << 32 // of NEFTune
)
