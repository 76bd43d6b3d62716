// Package optim updates a model's trainable weights: AdamW, SGD and Lion with
// their state on the device, in float32 or in 8 bits, learning-rate schedules, and
// a moving average of the weights.
//
// Weights that lie end to end and are updated alike are a [Group], for which a
// step is one call of the device. Nothing here waits for the device but reading
// and writing state.
package optim
