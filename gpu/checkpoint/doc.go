// Package checkpoint reads the weights of a model directory, in whatever files
// they lie: safetensors, or what torch.save wrote; in one file, or in shards
// with a weight map. The files themselves are the business of the packages
// below; safetensors also writes them.
//
//	d, err := checkpoint.OpenDir("models/chatglm3-6b")
//	err = d.Read("transformer.output_layer.weight", dst)
package checkpoint
