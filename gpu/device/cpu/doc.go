// Package cpu is the host device: C kernels behind one cgo call an operator,
// a team of threads of their own, and tensors outside the Go heap.
//
// # Reading order
//
//	kernels.h       the operators, as Go calls them
//	pass.h pass.go  a prepared batch
//	team.h team.c   the threads: regions, barriers, tasks claimed from a counter
//	gemm.c          matrix products: pack, then tiles
//	linear.c norm.c embed.c rotary.c attention.h attention*.c cached.c loss.c vector.c memory.c optimizer.c merge.c
//	                the operators: how the work is cut into tasks
//	isa.h isa.c     the table of inner kernels, and which one this processor gets
//	vec.h vec_*.h   vectors of LANES floats, and what only one instruction set can do with them
//	numbers.h       numbers of a tensor as such vectors, whatever their format
//	pack.h pairs.h tile.h block.h narrow.h rows.h runs.h steps.h flash*.h
//	                the inner kernels, written once on those vectors
//	isa_*.c         compile those headers for one instruction set each
//	workspace.go    how much memory operators need beside their operands
//
// # Guarantees
//
// No sum is ever split between workers: its parts and their order follow from
// the shapes of the operands. So any number of workers gives the same bits.
// Instruction sets differ from each other in their last bits; Info.Kind tells
// them apart.
//
// With precision bf16 the operands of products are rounded to bfloat16 while they
// are packed, and sums stay float32; so do norms, softmax, losses and optimizers.
// Attention, with a cache, too, rounds only where the processor multiplies pairs of
// bfloat16.
// Products of up to sixteen rows are float32 always: those wait for memory.
//
// Activations and the residual stream may be bfloat16 in memory with either
// precision: kernels widen them as they read, compute in float32, and round once,
// to nearest even, when a sum with all that belongs to it is complete.
//
// # Memory
//
// Tensors, passes and scratch memory are whole pages of the system's, counted
// against the budget. Scratch memory grows to what operators ask for; Workspace
// foresees that by letting them ask without computing, so between asking for
// scratch and the tasks that use it no operator touches its operands.
//
// Building needs a C compiler; without cgo [Open] says so, and gpu.Open falls
// back to the reference device.
package cpu
