// Package peft reads and writes LoRA adapters in the layout of Hugging Face's
// PEFT: a directory with adapter_config.json and adapter_model.safetensors,
// which vLLM and PEFT load as they are.
package peft
