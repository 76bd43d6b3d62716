package chatglm

import (
	"errors"
	"fmt"
)

// fixed are the keys of config.json that say what network it is and that only
// one value is computed for. A missing key has it. quantization_bit is not among
// them: it describes the weights, and quantized ones are refused by their type.
type fixed struct {
	ModelType     *string  `json:"model_type"`
	BiasLinear    *bool    `json:"add_bias_linear"`
	RMSNorm       *bool    `json:"rmsnorm"`
	PostLayerNorm *bool    `json:"post_layer_norm"`
	PostResidual  *bool    `json:"apply_residual_connection_post_layernorm"`
	Tied          *bool    `json:"tie_word_embeddings"`
	Rope          *bool    `json:"original_rope"`
	AttentionDrop *float64 `json:"attention_dropout"`
	HiddenDrop    *float64 `json:"hidden_dropout"`
}

// check reports every key with another value.
func (f fixed) check() error {
	return errors.Join(
		only("model_type", f.ModelType, "chatglm"),
		only("add_bias_linear", f.BiasLinear, false),
		only("rmsnorm", f.RMSNorm, true),
		only("post_layer_norm", f.PostLayerNorm, true),
		only("apply_residual_connection_post_layernorm", f.PostResidual, false),
		only("tie_word_embeddings", f.Tied, false),
		only("original_rope", f.Rope, true),
		only("attention_dropout", f.AttentionDrop, 0),
		only("hidden_dropout", f.HiddenDrop, 0),
	)
}

func only[T comparable](key string, got *T, want T) error {
	if got == nil || *got == want {
		return nil
	}
	return fmt.Errorf("%s is %v: only %v is supported", key, *got, want)
}
