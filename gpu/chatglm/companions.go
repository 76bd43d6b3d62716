package chatglm

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// companions are the files of a checkpoint that other tools need beside the
// weights. special_tokens_map.json is not among them: with it, older versions
// of the original loading code fail.
func companions() []string {
	return []string{
		"tokenizer.model", "tokenizer_config.json", "tokenization_chatglm.py",
		"configuration_chatglm.py", "modeling_chatglm.py", "quantization.py",
	}
}

// CopyCompanions copies the vocabulary and the loading code that the checkpoint
// in from has to the checkpoint in to, byte for byte. [Model.Save] writes the
// rest.
func CopyCompanions(to, from string) error {
	for _, name := range companions() {
		b, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}
