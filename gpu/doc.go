// Package gpu is what is computed: it opens the device that the model in
// gpu/chatglm runs on.
//
//	device/      the operators that ChatGLM3 is made of, three devices that compute them, and one that only counts
//	chatglm/     the model, its tokenizer and its chat format
//	optim/       AdamW, schedules, clipping
//	finetune/    the training loop
//	half/        numbers of 16 bits
//	checkpoint/  files of other tools: safetensors, torch, PEFT
//	bench/       how fast it is, and what the machine could do at best
//
// Nothing below gpu imports anything of the pipeline: the engine can be used
// without it.
package gpu
