// Package optim updates a model's trainable weights: AdamW, SGD and Lion with
// their state on the device, in float32 or in 8 bits, gradient clipping by global
// norm, learning-rate schedules, and a moving average of the weights.
package optim
