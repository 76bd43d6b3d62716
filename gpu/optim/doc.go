// Package optim updates a model's trainable weights: AdamW with its state on
// the device, gradient clipping by global norm, and learning-rate schedules.
package optim
